//! The metrics of this process for Prometheus, beside the API. On a port of their own (`METRICS_PORT`) they need no key.

use std::sync::Arc;

use poem::http::header::CONTENT_TYPE;
use poem::web::Data;
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiResponse, OpenApi};

use super::http::fails::Fails;
use super::http::openapi::Tag;
use crate::observability::exposition;
use crate::observability::listener::MetricsSource;
use crate::operations::scrape::Scraper;

const EXAMPLE: &str = "psp_database_up 1\nsync_lag_seconds{source=\"vima\"} 18.4\n";

pub(in crate::web) struct PrometheusApi;

#[OpenApi(tag = "Tag::Health")]
impl PrometheusApi {
    /// Get metrics for Prometheus
    ///
    /// The metrics of this process and of the installation, in the text format of Prometheus. What cannot be read is left out,
    /// and `psp_database_up`, `psp_redis_up` and `psp_installation_up` are then 0. Requests with a valid key are never limited.
    #[oai(path = "/metrics", method = "get", operation_id = "getPrometheusMetrics")]
    async fn metrics(&self, scraper: Data<&Arc<Scraper>>) -> Result<Exposed, Fails> {
        Ok(Exposed(scraper.render().await))
    }
}

/// The text of a scrape.
struct Exposed(String);

impl IntoResponse for Exposed {
    fn into_response(self) -> Response {
        Response::builder().header(CONTENT_TYPE, exposition::CONTENT_TYPE).body(self.0)
    }
}

impl ApiResponse for Exposed {
    fn meta() -> MetaResponses {
        let text = MetaSchema { example: Some(EXAMPLE.into()), ..MetaSchema::new("string") };
        let schema = MetaSchemaRef::Inline(Box::new(text));
        let response = MetaResponse {
            description: "The metrics.",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: exposition::CONTENT_TYPE, schema }],
            headers: vec![],
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_registry: &mut Registry) {}
}
