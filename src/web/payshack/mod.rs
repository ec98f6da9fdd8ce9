//! Who takes part at PayShack, and what they hold: a file a list.

mod balances;
mod clients;
mod resellers;
mod service_providers;

use poem_openapi::{Object, OpenApi};

use super::http::fields::{Fields, FromFields};
use crate::db::metadata::ListFilter;
use crate::domain::access::Principal;
use crate::domain::masking::PiiAccess;

/// The operations.
pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (clients::ClientsApi, resellers::ResellersApi, service_providers::ServiceProvidersApi, balances::BalancesApi)
}

/// Which rows of a list are shown.
#[derive(Debug, Clone, Default, Object)]
pub(in crate::web) struct MetadataQuery {
    /// Part of the name or of PayShack's id.
    search: Option<String>,
    /// Active ones, or those that are not; those of which PayShack does not say it are neither.
    is_active: Option<bool>,
    /// Those that PayShack lists, or those that it no longer does; both where nothing is said.
    listed: Option<bool>,
}

impl FromFields for MetadataQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        let search = fields.optional("search");
        let is_active = fields.optional("is_active");
        let listed = fields.optional("listed");
        Some(Self { search: search?, is_active: is_active?, listed: listed? })
    }
}

impl From<MetadataQuery> for ListFilter {
    fn from(query: MetadataQuery) -> Self {
        Self { search: query.search, is_active: query.is_active, listed: query.listed }
    }
}

/// An address as `principal` may see it.
fn address_shown_to(principal: &Principal, address: Option<String>) -> Option<String> {
    PiiAccess::for_role(principal.role).email(address)
}
