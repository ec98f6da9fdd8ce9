//! The external services that are called over HTTP.
//!
//! The exchange rate feed uses the same client, limits and errors as the providers but has no payments, so it is an
//! [`Upstream`] but not a `Source`.

use std::fmt;

use crate::domain::string_enum::string_enum;

string_enum! {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Upstream {
            Vima = "vima",
            Payshack = "payshack",
            ExchangeRates = "exchange-rates",
    }
}

impl Upstream {
    /// The settings that contain the credentials.
    #[must_use]
    pub(super) fn credentials(self) -> &'static str {
        match self {
            Self::Vima => "VIMA_API_KEY (or VIMA_USERNAME and VIMA_PASSWORD)",
            Self::Payshack => "PAYSHACK_EMAIL and PAYSHACK_PASSWORD",
            Self::ExchangeRates => "the key in FX_RATES_URL",
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
