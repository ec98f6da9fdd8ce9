//! PayShack's directory (clients, resellers, service providers) and the history of their balances.

mod balances;
mod directory;

use poem_openapi::OpenApi;

pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (directory::DirectoryApi, balances::BalancesApi)
}
