//! The normal form of keys and ids, which are compared as texts.
//!
//! The same key arrives as `"1768491979464"`, as `1768491979464.0` and with a zero-width space from a form on the web. If it
//! were stored as sent, one payment would be reported as missing at both providers.

/// Longer numbers are not integers of any provider (PostgreSQL's `numeric(38)`, and the longest id that is compared as a
/// number).
pub(in crate::providers) const MAX_DIGITS: usize = 38;

/// The integer that a JSON number with a fraction or an exponent represents. `None` if it has neither, is not whole, or is
/// too long.
pub(super) fn whole_number(number: &str) -> Option<String> {
    if !number.contains(['.', 'e', 'E']) {
        return None;
    }
    let (sign, unsigned) = number.strip_prefix('-').map_or(("", number), |unsigned| ("-", unsigned));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{integer}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // The number of digits before the decimal point.
    let point = i64::try_from(integer.len()).ok()?.checked_add(exponent.parse::<i32>().ok()?.into())?;
    let point = usize::try_from(point).unwrap_or(0);
    let whole = digits.get(..point.min(digits.len()))?;
    let rest = digits.get(whole.len()..)?;
    let zeros = point - whole.len();
    if rest.bytes().any(|digit| digit != b'0') || zeros > MAX_DIGITS {
        return None;
    }
    let whole = format!("{whole}{}", "0".repeat(zeros));
    match whole.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        significant if significant.len() > MAX_DIGITS => None,
        significant => Some(format!("{sign}{significant}")),
    }
}

/// A key without invisible characters and surrounding blanks. A text of digits that ends in `.0` is a number that some
/// program wrote as a text.
pub(super) fn normal_key(text: &str) -> String {
    let visible: String = text.chars().filter(|letter| !is_invisible(*letter)).collect();
    let visible = visible.trim();
    let number = visible.split_once('.').filter(|(integer, fraction)| {
        let is_of = |text: &str, digit: fn(u8) -> bool| !text.is_empty() && text.bytes().all(digit);
        is_of(integer, |byte| byte.is_ascii_digit()) && is_of(fraction, |byte| byte == b'0')
    });
    number.map_or(visible, |(integer, _)| integer).to_owned()
}

/// Whether a character has no visible form: controls, no-break spaces, zero-width characters, soft hyphens, direction marks,
/// byte order marks. A NUL is a sign of damage, and is not hidden.
fn is_invisible(letter: char) -> bool {
    letter.is_control() && letter != '\0'
        || matches!(letter,
            '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_become_integers() {
        for (number, expected) in [
            ("1768491979464.0", Some("1768491979464")),
            ("1.768491979464E12", Some("1768491979464")),
            ("1.768491979464e+12", Some("1768491979464")),
            ("1768491979464000e-3", Some("1768491979464")),
            ("12e0", Some("12")),
            ("0.0", Some("0")),
            ("-0.0", Some("0")),
            ("-7.00", Some("-7")),
            ("0.05e2", Some("5")),
            ("1e37", Some("10000000000000000000000000000000000000")),
            ("1768491979464", None),
            ("1.5", None),
            ("1.25e1", None),
            ("5e-1", None),
            ("1e38", None),
            ("1e400", None),
            ("1e99999999999", None),
            ("1e", None),
            (".", None),
        ] {
            assert_eq!(whole_number(number).as_deref(), expected, "{number}");
        }
    }

    #[test]
    fn keys_lose_what_cannot_be_seen() {
        for (text, expected) in [
            ("AGQAMEBYUPHQ4", "AGQAMEBYUPHQ4"),
            ("\u{feff}AGQ\u{200b}AME\u{a0}BYU\u{ad}", "AGQAMEBYU"),
            (" \t17\u{2009}\r\n", "17"),
            ("a b", "a b"),
            ("1768491979464.0", "1768491979464"),
            ("1768491979464.50", "1768491979464.50"),
            ("12E5", "12E5"),
            ("v1.0", "v1.0"),
            (".0", ".0"),
            ("\u{200b}", ""),
            ("a\0b", "a\0b"),
            ("अ\u{200d}ब", "अब"),
        ] {
            assert_eq!(normal_key(text), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn normal_form_is_stable(text in ".*|[0-9.eE+-]{0,50}") {
            let normal = normal_key(&text);
            proptest::prop_assert_eq!(normal_key(&normal), normal);
            let _ = whole_number(&text);
        }
    }
}
