//! Exact decimals and currencies.
//!
//! `rust_decimal` holds 28 digits, a thousand times the world's yearly payments in paise. Amounts are never floats: they
//! are parsed from a string, or from the text of a JSON number (`RawValue`). `serde_json`'s `arbitrary_precision` was
//! rejected: the feature applies to the whole build and changes how every other crate sees numbers.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Parses a decimal, plain (`100.50`) or with an exponent (`1e2`). Fails rather than rounding.
pub fn parse_decimal(text: &str) -> Result<Decimal, AmountError> {
    let trimmed = text.trim();
    let parsed =
        if trimmed.contains(['e', 'E']) { Decimal::from_scientific(trimmed) } else { Decimal::from_str_exact(trimmed) };
    parsed.map_err(|_| AmountError(trimmed.chars().take(40).collect()))
}

/// The largest amount of a payment, in major units: far above any real one, and small enough that sums of amounts, and
/// amounts times rates, fit into 28 digits.
const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

/// Whether the amount can be that of a payment.
#[must_use]
pub fn is_plausible_amount(amount: Decimal) -> bool {
    amount.abs() <= Decimal::from(MAX_AMOUNT)
}

/// At least two decimals, and no trailing zeros beyond them.
#[must_use]
pub fn format_decimal(value: Decimal) -> String {
    // The common case.
    if value.scale() == 2 {
        return value.to_string();
    }
    let mut value = value.normalize();
    if value.scale() < 2 {
        value.rescale(2);
    }
    value.to_string()
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an exact decimal of at most 28 digits")]
pub struct AmountError(String);

/// A currency code in capitals: `INR`, `USD`, or a longer code of a token (`USDT`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(String);

impl Currency {
    /// The only currency of `PayShack`.
    #[must_use]
    pub fn inr() -> Self {
        Self("INR".to_owned())
    }

    #[must_use]
    pub fn usd() -> Self {
        Self("USD".to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number of decimals of the minor unit (ISO 4217).
    #[must_use]
    pub fn minor_unit_digits(&self) -> u32 {
        match self.0.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
            | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        }
    }

    /// Converts an amount of minor units (paise, cents) to major units.
    #[must_use]
    pub fn from_minor_units(&self, minor: Decimal) -> Decimal {
        minor * Decimal::new(1, self.minor_unit_digits())
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code = text.trim().to_ascii_uppercase();
        if (2..=10).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(code))
        } else {
            Err(CurrencyError(text.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a currency code")]
pub struct CurrencyError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_parsed_exactly() {
        for (text, expected) in [
            ("100.00000000", "100.00"),
            ("0.1", "0.10"),
            ("1e2", "100.00"),
            ("1.5E-3", "0.0015"),
            ("-3", "-3.00"),
            (" 7 ", "7.00"),
            ("99999999999999999999.99", "99999999999999999999.99"),
        ] {
            assert_eq!(format_decimal(parse_decimal(text).expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn inexact_and_invalid_decimals_are_rejected() {
        for text in [
            "",
            "abc",
            "1,000",
            "1.2.3",
            "NaN",
            "Infinity",
            "0.00000000000000000000000000001",
            "99999999999999999999999999999999",
        ] {
            assert!(parse_decimal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_beyond_the_limit_are_not_plausible() {
        for (text, expected) in [
            ("1000000000000000", true),
            ("-1000000000000000", true),
            ("0", true),
            ("1000000000000000.01", false),
            ("-1000000000000001", false),
            ("70000000000000000000000000000", false),
        ] {
            assert_eq!(is_plausible_amount(parse_decimal(text).expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn minor_unit_digits_depend_on_the_currency() {
        for (currency, expected) in [("INR", "100.00"), ("JPY", "10000.00"), ("KRW", "10000.00"), ("KWD", "10.00")] {
            let currency: Currency = currency.parse().expect(currency);
            assert_eq!(format_decimal(currency.from_minor_units(Decimal::from(10_000))), expected, "{currency}");
        }
    }
}
