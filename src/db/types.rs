//! Conversions between Rust values and the forms that PostgreSQL takes, shared by all modules of `db`.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

/// Saturates at `i64::MAX` microseconds.
pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

/// The column texts of enum values, to bind as an array.
pub(super) fn names<T: Copy>(values: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    values.iter().map(|value| name(*value)).collect()
}

/// Escapes the wildcards of `LIKE`.
pub(super) fn escape_like(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_every_character_literally() {
        for (text, expected) in [("abc", "abc"), ("50%", r"50\%"), ("a_b", r"a\_b"), (r"c:\d", r"c:\\d")] {
            assert_eq!(escape_like(text), expected);
        }
    }
}
