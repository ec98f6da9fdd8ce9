//! The OpenAPI document, as JSON, as YAML and in Swagger UI.
//!
//! It is made from the types of the operations alone, so `psp openapi` needs neither settings nor servers.

mod headers;
pub(in crate::web) mod page;
mod postprocess;

use chrono::{DateTime, NaiveDate, Utc};
use poem::{Route, get};
use poem_openapi::{LicenseObject, OpenApi, OpenApiService, ServerObject, Tags};
use serde_json::Value;
use uuid::Uuid;

use self::page::Page;

const TITLE: &str = "PSP dashboard";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const DESCRIPTION: &str = "Payments of Vima and PayShack: transactions, metrics, reconciliation, exports and jobs.

* Money is a string with an exact decimal, never a float.
* Times are RFC 3339 in UTC. Days are calendar days of `timezone`, both ends included, written `YYYY-MM-DD`, from \
2000-01-01 to 2200-01-01.
* Query parameters that take a list accept one value, or several separated by commas. A parameter that is given more than \
once is not split at commas, so that a value may contain one: `project=a,b&project=c` are the values `a,b` and `c`, and \
`project=a,b&project=` is the value `a,b` alone. Otherwise an empty query parameter counts as absent.
* A query parameter that an operation does not have is a 422 that names the closest one. Names that begin with `_` are free, for \
example against caches. If the service is set to ignore unknown parameters, `X-Ignored-Parameters` lists them.
* Errors are RFC 9457 `application/problem+json`; programs should read `code`. A path that does not exist is a 404, a method \
that a path does not support is a 405 with `Allow`.
* A trailing slash in a path is ignored.
* Every response has `X-Request-Id`, and `traceresponse` with the trace of the request. A valid `traceparent` (W3C Trace \
Context) of a request is continued, also by the job that the request starts.
* Who sends too many requests gets a 429 with `Retry-After`; `RateLimit` and `RateLimit-Policy` say how many are left.

[Live events](/api/docs/events): WebSocket `/ws/updates` (also at `/ws`), or Server-Sent Events at `/api/v1/events`, with the same \
authentication headers or cookie, or with `?ticket=` from `POST /api/v1/ws/ticket`. [`/api/asyncapi.yaml`](/api/asyncapi.yaml) \
describes them for programs.

In a browser, sign in once (`POST /api/v1/session`, or `/api/v1/session/oidc/login`): the cookie then authenticates this page, \
downloads and live events.";

/// The time in examples.
pub(in crate::web) const EXAMPLE_TIME: DateTime<Utc> = match DateTime::from_timestamp(1_768_471_200, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};
/// The day in examples.
pub(in crate::web) const EXAMPLE_DAY: NaiveDate = EXAMPLE_TIME.naive_utc().date();
/// The id in examples.
pub(in crate::web) const EXAMPLE_ID: Uuid = Uuid::from_u128(0x0198_0f2a_7c11_7b3a_9d42_5f6a_1c2b_3d4e);

/// The sections of the document.
#[derive(Tags)]
pub(in crate::web) enum Tag {
    /// Health of the service and of the servers it needs.
    Health,
    /// Single payments.
    Transactions,
    /// Aggregated payments.
    Metrics,
    /// Syncs with the providers.
    Sync,
    /// Comparison of the two providers: runs, their results and the discrepancies.
    Reconciliation,
    /// PayShack's clients, resellers and service providers, and their balances.
    #[oai(rename = "PayShack")]
    Payshack,
    /// File downloads.
    Export,
    /// Background jobs, their queues and the schedule.
    Jobs,
    /// Changes of everything that matches a filter: previewed, confirmed, and carried out by a job.
    #[oai(rename = "Bulk actions")]
    BulkActions,
    /// Live events.
    Events,
    /// Endpoints that receive events by HTTP.
    Webhooks,
    /// Rules about payments and about the service, and the alerts that they have raised.
    Alerts,
    /// Digests and exports that are sent regularly.
    Reports,
    /// Saved filters, personal or shared.
    Views,
    /// Keys and the audit log.
    Access,
}

/// Operations as a service that describes itself.
pub(in crate::web) fn described<T: OpenApi>(operations: T) -> OpenApiService<T, ()> {
    OpenApiService::new(operations, TITLE, VERSION)
        .description(DESCRIPTION)
        .license(LicenseObject::new("Proprietary").identifier("LicenseRef-Proprietary"))
        .server(ServerObject::new("/").description("The host that serves this document"))
}

/// The OpenAPI document of the whole API.
#[derive(Debug)]
pub struct Document(Value);

impl Document {
    pub(in crate::web) fn new(operations: impl OpenApi) -> Self {
        let mut document = serde_json::from_str(&described(operations).spec()).unwrap_or_default();
        postprocess::complete(&mut document);
        Self(document)
    }

    /// The names of the query parameters of each operation, by its `operationId`.
    pub(in crate::web) fn query_parameters(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        let paths = self.0["paths"].as_object().into_iter().flat_map(|paths| paths.values());
        let operations = paths.filter_map(Value::as_object).flat_map(|methods| methods.values());
        operations.map(|operation| {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let of_query = parameters.filter(|parameter| parameter["in"] == "query");
            let names = of_query.filter_map(|parameter| parameter["name"].as_str()).map(str::to_owned).collect();
            (operation["operationId"].as_str().unwrap_or_default().to_owned(), names)
        })
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        // A JSON value can always be serialized.
        serde_json::to_string_pretty(&self.0).unwrap_or_default() + "\n"
    }

    #[must_use]
    pub fn to_yaml(&self) -> String {
        yaml(&self.0)
    }

    /// Swagger UI with everything it needs in one page, so that it works without internet access.
    fn to_html(&self) -> String {
        // poem-openapi embeds its own document, without the postprocessing. A service without operations yields the page around
        // it.
        let empty = OpenApiService::new((), TITLE, VERSION);
        empty.swagger_ui_html().replacen(&empty.spec(), &self.to_json(), 1)
    }

    /// Serves the document below `/api`.
    pub(in crate::web) fn mount(&self, route: Route) -> Route {
        route
            .at("/api/docs", get(Page::new("text/html; charset=utf-8", self.to_html())))
            .at("/api/openapi.json", get(Page::new("application/json", self.to_json())))
            .at("/api/openapi.yaml", get(Page::new("application/yaml", self.to_yaml())))
    }
}

/// A document as YAML.
pub(in crate::web) fn yaml(document: &Value) -> String {
    let yaml = serde_yaml_ng::to_string(document).unwrap_or_default();
    yaml.lines().map(|line| quote_scalar(line) + "\n").collect()
}

/// YAML 1.1, which many parsers implement, reads an unquoted day as a date and an unquoted `off` as false.
fn quote_scalar(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((field, scalar))
            if field.ends_with([':', '-']) && (scalar == "off" || scalar.starts_with(&EXAMPLE_DAY.to_string())) =>
        {
            format!("{field} '{scalar}'")
        }
        _ => line.to_owned(),
    }
}
