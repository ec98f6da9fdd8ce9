//! Names of files that say what is inside: `reconciliation_2026-01-01_2026-01-31_open.csv`.

use std::borrow::Borrow;

use chrono::NaiveDate;

use super::Format;

/// The longest that a filter may make the name: file systems take 255 bytes.
const LONGEST_FILTER: usize = 60;

/// The name of a file about `subject`, of the days from the first to the second, and of what it was filtered by: an entry a
/// filter, with its values. It is ASCII without anything that would have to be quoted.
#[must_use]
pub fn file_name(
    subject: &str,
    days: (Option<NaiveDate>, Option<NaiveDate>),
    filters: &[Vec<impl Borrow<str>>],
    format: Format,
) -> String {
    let days = match days {
        (Some(from), Some(to)) => format!("{from}_{to}"),
        (Some(from), None) => format!("from_{from}"),
        (None, Some(to)) => format!("until_{to}"),
        (None, None) => "all".to_owned(),
    };
    let filters = filters.iter().filter(|values| !values.is_empty()).map(|values| plain(&values.join("-")));
    let parts: Vec<String> = [subject.to_owned(), days].into_iter().chain(filters).collect();
    format!("{}.{}", parts.join("_"), format.as_str())
}

fn plain(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    text.chars().take(LONGEST_FILTER).map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_inside() {
        let day = |text: &str| Some(text.parse().expect("a day"));
        let (first, last) = (day("2026-01-01"), day("2026-01-31"));
        for (days, filters, expected) in [
            ((first, last), vec![], "r_2026-01-01_2026-01-31.xlsx"),
            ((first, None), vec![vec![]], "r_from_2026-01-01.xlsx"),
            ((None, last), vec![vec!["open"]], "r_until_2026-01-31_open.xlsx"),
            ((None, None), vec![vec!["open", "ignored"], vec![], vec!["amount"]], "r_all_open-ignored_amount.xlsx"),
            ((None, None), vec![vec!["a\"/..\r\nü"]], "r_all_a-------.xlsx"),
        ] {
            assert_eq!(file_name("r", days, &filters, Format::Xlsx), expected);
        }
        let long = "x".repeat(1000);
        assert!(file_name("r", (None, None), &[vec![long.as_str()]], Format::Csv).len() < 100);
    }
}
