//! File names that describe the contents: `reconciliation_2026-01-01_2026-01-31_open.csv`.

use std::borrow::Borrow;

use chrono::NaiveDate;

use super::Format;

/// The most characters that one filter adds to the name: file systems accept 255 bytes.
const MAX_FILTER_LENGTH: usize = 60;

/// Builds the file name of an export from its name, its first and last day, and the values of each filter. The result is
/// ASCII and needs no quoting.
#[must_use]
pub fn file_name(
    export: &str,
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
    let filters = filters.iter().filter(|values| !values.is_empty()).map(|values| ascii(&values.join("-")));
    let parts: Vec<String> = [export.to_owned(), days].into_iter().chain(filters).collect();
    format!("{}.{}", parts.join("_"), format.as_str())
}

fn ascii(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    text.chars().take(MAX_FILTER_LENGTH).map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_describe_the_contents() {
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
