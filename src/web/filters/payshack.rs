//! The filters of PayShack's clients, resellers and service providers.

use crate::db::metadata::ListFilter;
use crate::web::http::fields::request_fields;

request_fields! {
    /// Which entries are listed.
    pub(in crate::web) struct MetadataQuery {
        /// Part of the name or of the id at PayShack.
        search: Option<String>,
        /// Only active (`true`) or inactive (`false`) entries; entries whose state PayShack does not report are neither.
        is_active: Option<bool>,
        /// Only entries that PayShack still lists (`true`) or no longer lists (`false`).
        listed: Option<bool>,
    }
}

impl From<MetadataQuery> for ListFilter {
    fn from(query: MetadataQuery) -> Self {
        Self { search: query.search, is_active: query.is_active, listed: query.listed }
    }
}
