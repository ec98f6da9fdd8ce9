//! The OpenAPI document: what the operations say of themselves, mended, as JSON, as YAML and to be looked at.
//!
//! It is made from the operations' types alone, so that `psp openapi` needs neither a setting nor a server, and it is the
//! same wherever it is made: `openapi/` holds it, and a test compares.

pub(crate) mod postprocess;

use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Utc};
use poem::http::header;
use poem::web::Html;
use poem::{IntoResponse, Response, handler};
use poem_openapi::{OpenApi, OpenApiService, ServerObject, Tags};
use serde_json::Value;
use uuid::Uuid;

use crate::web::app::operations;

const TITLE: &str = "PSP dashboard";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const DESCRIPTION: &str = "Payments of Vima and PayShack: what came, what changed, what it sums up to.

Money is text with an exact decimal, never a float. Times are RFC 3339 in UTC. Days are calendar days of `timezone`, both \
ends included. Errors are RFC 9457 `application/problem+json`, told apart by `code`. Every answer bears `X-Request-Id`.

Live news comes over the WebSocket `/ws/updates` (the same at `/ws`): authenticate by the same headers, or by `?ticket=` \
from `POST /api/v1/ws/ticket`.";

/// The time of examples.
pub(in crate::web) const EXAMPLE_TIME: DateTime<Utc> = match DateTime::from_timestamp(1_768_471_200, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};
/// The day of examples.
pub(in crate::web) const EXAMPLE_DAY: NaiveDate = EXAMPLE_TIME.naive_utc().date();
/// The id of examples.
pub(in crate::web) const EXAMPLE_ID: Uuid = Uuid::from_u128(0x0198_0f2a_7c11_7b3a_9d42_5f6a_1c2b_3d4e);

/// The parts of the API.
#[derive(Tags)]
pub(in crate::web) enum Tag {
    /// Whether the service lives, and whether what it needs does.
    Health,
    /// Payments, one by one.
    Transactions,
    /// Payments, summed up.
    Metrics,
    /// Reading the providers.
    Sync,
    /// Whether both providers agree: runs, what they found, and what is done about it.
    Reconciliation,
    /// Who takes part at PayShack, and what they hold.
    #[oai(rename = "PayShack")]
    Payshack,
    /// Files to download.
    Export,
    /// What is done in the background: jobs, their queues, and what runs when.
    Jobs,
    /// Who may do what.
    Access,
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::from_str(&described(operations()).spec()).unwrap_or_default();
    postprocess::mend(&mut document);
    document
});

/// The operations as a service that describes itself.
pub(in crate::web) fn described<T: OpenApi>(operations: T) -> OpenApiService<T, ()> {
    OpenApiService::new(operations, TITLE, VERSION)
        .description(DESCRIPTION)
        .server(ServerObject::new("/").description("The host that serves this document"))
}

/// The document as JSON.
#[must_use]
pub fn to_json() -> String {
    // Plain data is always JSON.
    serde_json::to_string_pretty(&*DOCUMENT).unwrap_or_default() + "\n"
}

/// The document as YAML.
#[must_use]
pub fn to_yaml() -> String {
    let plain = serde_yaml_ng::to_string(&*DOCUMENT).unwrap_or_default();
    plain.lines().map(|line| quote_word(line) + "\n").collect()
}

/// YAML 1.1, which many still read, takes an unquoted day for a date and an unquoted `off` for false.
fn quote_word(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((field, word))
            if field.ends_with([':', '-']) && (word == "off" || word.starts_with(&EXAMPLE_DAY.to_string())) =>
        {
            format!("{field} '{word}'")
        }
        _ => line.to_owned(),
    }
}

/// Swagger UI around the document, with everything it needs in one page: it works without the internet.
fn to_html() -> String {
    // poem-openapi writes its own document into the page, unmended: a service without operations gives the page around it.
    let empty = OpenApiService::new((), TITLE, VERSION);
    empty.swagger_ui_html().replacen(&empty.spec(), &to_json(), 1)
}

#[handler]
pub(in crate::web) fn json() -> Response {
    to_json().with_content_type("application/json").into_response()
}

#[handler]
pub(in crate::web) fn yaml() -> Response {
    to_yaml().with_content_type("application/yaml").into_response()
}

#[handler]
pub(in crate::web) fn ui() -> Response {
    Html(to_html()).with_header(header::CACHE_CONTROL, "no-cache").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations() -> impl Iterator<Item = (String, &'static Value)> {
        let paths = DOCUMENT["paths"].as_object().expect("paths");
        paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods");
            methods.iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    #[test]
    fn every_operation_is_described() {
        for (name, operation) in operations() {
            for field in ["summary", "description", "operationId"] {
                assert!(operation[field].as_str().is_some_and(|text| !text.is_empty()), "{name}: {field}");
            }
            assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name}: tags");
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let content = response["content"].as_object().into_iter().flat_map(|content| content.values());
                let shows = content.into_iter().any(|content| content.get("example").is_some());
                assert!(shows || response.get("$ref").is_some(), "{name}: {status} shows no example");
            }
        }
    }

    #[test]
    fn nothing_but_health_is_open() {
        for (name, operation) in operations() {
            let open = operation.get("security").is_none();
            assert_eq!(open, name.starts_with("get /health"), "{name}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = to_json();
        for reference in text.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(DOCUMENT.pointer(reference).is_some(), "#{reference}");
        }
    }

    #[test]
    fn what_may_be_null_says_so() {
        let transaction = &DOCUMENT["components"]["schemas"]["Transaction"];
        assert_eq!(transaction["properties"]["utr"]["nullable"], true);
        assert_eq!(transaction["properties"]["amount"].get("nullable"), None);
        let fields = transaction["properties"].as_object().expect("properties").len();
        assert_eq!(transaction["required"].as_array().map(Vec::len), Some(fields));
    }

    #[test]
    fn a_query_is_written_as_its_parameters() {
        let list = &DOCUMENT["paths"]["/api/v1/transactions"]["get"]["parameters"];
        let names: Vec<&str> =
            list.as_array().expect("parameters").iter().filter_map(|it| it["name"].as_str()).collect();
        assert_eq!(names.len(), 19, "{names:?}");
        let status = list.as_array().and_then(|list| list.iter().find(|it| it["name"] == "status")).expect("status");
        assert_eq!((&status["explode"], &status["schema"]["type"]), (&Value::Bool(false), &Value::from("array")));
    }

    #[test]
    fn the_committed_document_is_this_one() {
        assert!(to_json() == include_str!("../../../../openapi/openapi.json"), "see openapi/README.md");
        assert!(to_yaml() == include_str!("../../../../openapi/openapi.yaml"), "see openapi/README.md");
    }

    #[test]
    fn the_page_shows_the_mended_document() {
        let page = to_html();
        assert!(page.contains("\"nullable\": true") && page.contains("SwaggerUIBundle"));
        assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));
    }
}
