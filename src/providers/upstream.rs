//! Whom we ask: more than whose payments we keep.
//!
//! The source of exchange rates is asked over the same client, with the same bounds and errors, but no payment comes from
//! it. So errors name an [`Upstream`], and a `Source` stays what the database knows.

use std::fmt;

use crate::domain::string_enum::string_enum;

string_enum! {
    /// Whoever is asked over HTTP.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Upstream {
        /// The Vima collector.
        Vima = "vima",
        /// `PayShack`.
        Payshack = "payshack",
        /// The feed of exchange rates.
        ExchangeRates = "exchange-rates",
    }
}

impl Upstream {
    /// The settings that hold our credentials there.
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
