//! Money: an exact decimal and the currency it is in.
//!
//! `rust_decimal` holds 28 digits, which is a thousand times the world's yearly payments in paise. A float never
//! appears: amounts come as the text of a JSON number (`RawValue`) or as a string and are parsed from that text.
//! `serde_json`'s `arbitrary_precision` was rejected: it is a feature of the whole build and changes how every other
//! crate sees numbers.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Reads a decimal exactly: plain (`"100.50"`) or with an exponent (`1e2`), as JSON allows.
///
/// # Errors
/// [`AmountError`] where the text is no number, or one with more digits than can be held exactly.
pub fn parse_decimal(text: &str) -> Result<Decimal, AmountError> {
    let trimmed = text.trim();
    let parsed =
        if trimmed.contains(['e', 'E']) { Decimal::from_scientific(trimmed) } else { Decimal::from_str_exact(trimmed) };
    parsed.map_err(|_| AmountError(trimmed.chars().take(40).collect()))
}

/// Writes a decimal as the contract does: at least two decimals, and no zeros beyond them.
#[must_use]
pub fn format_decimal(value: Decimal) -> String {
    // Most amounts have two decimals already: nothing is to be taken away or added.
    if value.scale() == 2 {
        return value.to_string();
    }
    let mut value = value.normalize();
    if value.scale() < 2 {
        value.rescale(2);
    }
    value.to_string()
}

/// A text that is no exact amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an amount that can be held exactly")]
pub struct AmountError(String);

/// A currency code in capitals: `INR`, `USD`, also the longer codes of tokens (`USDT`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(String);

impl Currency {
    /// The Indian rupee, the only currency of `PayShack`.
    #[must_use]
    pub fn inr() -> Self {
        Self("INR".to_owned())
    }

    /// The US dollar, in which all are summed up.
    #[must_use]
    pub fn usd() -> Self {
        Self("USD".to_owned())
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many decimals the minor unit has (ISO 4217): 2 for most, 0 for yen and won, 3 for the dinars.
    #[must_use]
    pub fn minor_unit_digits(&self) -> u32 {
        match self.0.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
            | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        }
    }

    /// An amount given in minor units (paise, cents), in major ones.
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

/// A text that is no currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a currency code")]
pub struct CurrencyError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
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
    fn what_is_no_exact_number_is_refused() {
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
    fn minor_units_follow_the_currency() {
        for (currency, expected) in [("INR", "100.00"), ("JPY", "10000.00"), ("KRW", "10000.00"), ("KWD", "10.00")] {
            let currency: Currency = currency.parse().expect(currency);
            assert_eq!(format_decimal(currency.from_minor_units(Decimal::from(10_000))), expected, "{currency}");
        }
    }
}
