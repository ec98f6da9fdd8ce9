//! The calls of the external services, as the metrics name them: paths belong to settings, and may contain a key.

use super::upstream::Upstream;
use crate::domain::string_enum::string_enum;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Endpoint {
        Operations = "operations",
        Login = "login",
        Payins = "payins",
        Payouts = "payouts",
        Clients = "clients",
        Resellers = "resellers",
        ServiceProviders = "service-providers",
        Rates = "rates",
    }
}

impl Endpoint {
    #[must_use]
    pub fn provider(self) -> Upstream {
        match self {
            Self::Operations => Upstream::Vima,
            Self::Login | Self::Payins | Self::Payouts | Self::Clients | Self::Resellers | Self::ServiceProviders => {
                Upstream::Payshack
            }
            Self::Rates => Upstream::ExchangeRates,
        }
    }
}
