//! Numbers as people read them.

/// A value with three significant digits and separators between thousands, for example `1,234`, `56.7`, `0.089`.
pub(crate) fn readable(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return "0".to_owned();
    }
    if magnitude < 0.001 {
        return "under 0.001".to_owned();
    }
    let decimals = match magnitude {
        magnitude if magnitude >= 99.95 => 0,
        magnitude if magnitude >= 9.995 => 1,
        magnitude if magnitude >= 0.0995 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole = with_separators(whole);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// The same with its unit.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "" => readable(value),
        "%" => format!("{} %", readable(value)),
        unit if unit.starts_with('/') => format!("{}{unit}", readable(value)),
        unit => format!("{} {unit}", readable(value)),
    }
}

/// Puts commas between the thousands of an integer.
pub(crate) fn with_separators(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut separated = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            separated.push(',');
        }
        separated.push(digit);
    }
    separated
}

/// Puts commas into the long numbers of a text, except those that are parts of words.
pub(crate) fn separate_thousands(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_long = word.len() > 4 && word.chars().all(|letter| letter.is_ascii_digit());
        if is_long { with_separators(word) } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits_and_separators() {
        for (value, expected) in [
            (0.0, "0"),
            (0.000_04, "under 0.001"),
            (0.0893, "0.089"),
            (0.5, "0.5"),
            (1.0, "1"),
            (5.678, "5.68"),
            (56.78, "56.8"),
            (99.97, "100"),
            (999.6, "1,000"),
            (1_234.5, "1,234"),
            (12_345_678.0, "12,345,678"),
            (-1_234.5, "-1,234"),
            (-0.25, "-0.25"),
        ] {
            assert_eq!(readable(value), expected);
        }
    }

    #[test]
    fn units_follow_their_value() {
        assert_eq!(with_unit(1_234.0, "/s"), "1,234/s");
        assert_eq!(with_unit(4.3, "%"), "4.3 %");
        assert_eq!(with_unit(27.4, "MB"), "27.4 MB");
        assert_eq!(with_unit(3.9, ""), "3.9");
    }

    #[test]
    fn long_numbers_of_a_heading_are_separated() {
        assert_eq!(
            separate_thousands("vima: a sync of 99700 records in 2026"),
            "vima: a sync of 99,700 records in 2026"
        );
        assert_eq!(separate_thousands("project-12345 1000000"), "project-12345 1,000,000");
    }
}
