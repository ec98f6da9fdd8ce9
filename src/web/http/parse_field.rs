//! Values that are read from the text of one field of a request.

use chrono::NaiveDate;
use uuid::Uuid;

use crate::domain::day::parse_day;
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

impl ParseField for i64 {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a whole number".to_owned())
    }
}

impl ParseField for u32 {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a whole number".to_owned())
    }
}

impl ParseField for NaiveDate {
    fn parse_field(text: &str) -> Result<Self, String> {
        parse_day(text).map_err(|error| error.to_string())
    }
}
