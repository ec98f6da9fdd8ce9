//! Values that are read from the text of one field of a request.

use chrono::NaiveDate;
use uuid::Uuid;

use crate::domain::money::Currency;

pub(in crate::web) trait ParseField: Sized {
    /// # Errors
    /// What the text must be.
    fn parse_field(text: &str) -> Result<Self, String>;
}

impl ParseField for String {
    fn parse_field(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl ParseField for Currency {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a currency code, for example INR".to_owned())
    }
}

impl ParseField for Uuid {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a UUID".to_owned())
    }
}

impl ParseField for bool {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be true or false".to_owned())
    }
}

impl ParseField for u32 {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a whole number".to_owned())
    }
}

impl ParseField for NaiveDate {
    fn parse_field(text: &str) -> Result<Self, String> {
        // chrono alone accepts 2026-1-5 as well.
        let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
        day.ok_or_else(|| "must be a day, for example 2026-01-31".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_in_full() {
        assert!(NaiveDate::parse_field("2026-01-05").is_ok());
        for text in ["2026-1-5", "05.01.2026", "2026-02-30", "20260105"] {
            assert!(NaiveDate::parse_field(text).is_err(), "{text}");
        }
    }
}
