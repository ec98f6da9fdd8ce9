//! Exact amounts in minor units, and the formats in which the providers write them.

use rust_decimal::Decimal;
use strum::IntoStaticStr;

/// The currencies of the generated history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE", const_into_str)]
pub(crate) enum Currency {
    Inr,
    Eur,
    Usd,
    Jpy,
}

impl Currency {
    fn decimals(self) -> u32 {
        decimals_of(self.into_str())
    }
}

pub(crate) fn decimals_of(code: &str) -> u32 {
    if matches!(code, "JPY" | "KRW") { 0 } else { 2 }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) minor: i64,
    pub(crate) currency: Currency,
}

impl Amount {
    /// `None` if the amount has more decimals than the currency.
    pub(crate) fn from_major(major: Decimal, currency: Currency) -> Option<Self> {
        let scaled = major.checked_mul(Decimal::from(10_i64.pow(currency.decimals())))?.normalize();
        let minor = if scaled.scale() == 0 { i64::try_from(scaled.mantissa()).ok()? } else { return None };
        Some(Self { minor, currency })
    }

    pub(crate) fn decimal(self) -> Decimal {
        Decimal::new(self.minor, self.currency.decimals())
    }

    /// `100.00000000`, Vima's format of major units.
    pub(crate) fn with_eight_decimals(self) -> Decimal {
        let mut decimal = self.decimal();
        decimal.rescale(8);
        decimal
    }

    /// `100` or `100.5`, PayShack's format.
    pub(crate) fn shortest(self) -> Decimal {
        self.decimal().normalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_format_of_each_provider() {
        let rupees = Amount { minor: 10_050, currency: Currency::Inr };
        assert_eq!(rupees.with_eight_decimals().to_string(), "100.50000000");
        assert_eq!(rupees.shortest().to_string(), "100.5");
        assert_eq!(Amount { minor: 100, currency: Currency::Jpy }.decimal().to_string(), "100");
        assert_eq!(Amount::from_major("100.5".parse().unwrap(), Currency::Inr), Some(rupees));
        assert_eq!(Amount::from_major("100.505".parse().unwrap(), Currency::Inr), None);
    }
}
