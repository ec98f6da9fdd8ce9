//! Who takes part at PayShack, and what they hold: a file a list.

mod balances;
mod clients;
mod resellers;
mod service_providers;

use poem_openapi::OpenApi;

use crate::domain::access::Principal;
use crate::domain::masking::PiiAccess;

/// The operations.
pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (clients::ClientsApi, resellers::ResellersApi, service_providers::ServiceProvidersApi, balances::BalancesApi)
}

/// An address as `principal` may see it.
fn address_shown_to(principal: &Principal, address: Option<String>) -> Option<String> {
    PiiAccess::for_role(principal.role).email(address)
}
