//! Amounts: minor units of a currency, exact, and the forms the providers write them in.

use rust_decimal::Decimal;

/// The currencies that occur in the made history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Currency {
    Inr,
    Eur,
    Usd,
    Jpy,
}

impl Currency {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Inr => "INR",
            Self::Eur => "EUR",
            Self::Usd => "USD",
            Self::Jpy => "JPY",
        }
    }

    fn decimals(self) -> u32 {
        decimals_of(self.code())
    }
}

/// How many decimals the minor unit of a currency has.
pub(crate) fn decimals_of(code: &str) -> u32 {
    if matches!(code, "JPY" | "KRW") { 0 } else { 2 }
}

/// An amount in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) minor: i64,
    pub(crate) currency: Currency,
}

impl Amount {
    /// From major units; `None` where they are finer than the currency's minor unit.
    pub(crate) fn of(major: Decimal, currency: Currency) -> Option<Self> {
        let scaled = major.checked_mul(Decimal::from(10_i64.pow(currency.decimals())))?.normalize();
        let minor = if scaled.scale() == 0 { i64::try_from(scaled.mantissa()).ok()? } else { return None };
        Some(Self { minor, currency })
    }

    pub(crate) fn decimal(self) -> Decimal {
        Decimal::new(self.minor, self.currency.decimals())
    }

    /// `100.00000000`, as Vima writes major units.
    pub(crate) fn with_eight_decimals(self) -> Decimal {
        let mut decimal = self.decimal();
        decimal.rescale(8);
        decimal
    }

    /// `100` or `100.5`, as `PayShack` writes them.
    pub(crate) fn shortest(self) -> Decimal {
        self.decimal().normalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_each_provider_does() {
        let rupees = Amount { minor: 10_050, currency: Currency::Inr };
        assert_eq!(rupees.with_eight_decimals().to_string(), "100.50000000");
        assert_eq!(rupees.shortest().to_string(), "100.5");
        assert_eq!(Amount { minor: 100, currency: Currency::Jpy }.decimal().to_string(), "100");
        assert_eq!(Amount::of("100.5".parse().unwrap(), Currency::Inr), Some(rupees));
        assert_eq!(Amount::of("100.505".parse().unwrap(), Currency::Inr), None);
    }
}
