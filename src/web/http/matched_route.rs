//! The route template of a request, for its metrics.
//!
//! The template is known once the access policy of the request is found, deep inside of the middleware that measures: so the
//! middleware puts an empty place into the request, which travels inwards.

use std::sync::{Arc, OnceLock};

use poem::Request;

use crate::observability::record::UNMATCHED;

#[derive(Debug, Clone, Default)]
pub(in crate::web) struct MatchedRoute(Arc<OnceLock<&'static str>>);

impl MatchedRoute {
    /// Notes the template, such as `/api/v1/jobs/{id}`.
    pub(in crate::web) fn set(request: &Request, template: &'static str) {
        if let Some(Self(route)) = request.extensions().get() {
            // Only set here, once per request.
            let _set = route.set(template);
        }
    }

    pub(super) fn template(&self) -> &'static str {
        self.0.get().copied().unwrap_or(UNMATCHED)
    }
}
