use std::sync::Arc;

use super::*;
use crate::clock::SystemClock;
use crate::providers::http::HttpSettings;
use crate::providers::rate_limit::Unlimited;
use crate::providers::retry::RetryPolicy;
use crate::providers::stub_server::{Answer, StubServer};
use crate::providers::upstream::Upstream;

fn client(server: &StubServer, credentials: Credentials) -> VimaClient {
    let settings = HttpSettings { retry: RetryPolicy::quick(), ..HttpSettings::default() };
    let http = HttpClient::new(Upstream::Vima, settings, Arc::new(Unlimited), Arc::new(SystemClock)).expect("a client");
    let base_url = server.url().join("collector1/api/v1").expect("an address");
    VimaClient::new(http, VimaSettings { base_url, credentials })
}

fn key() -> Credentials {
    Credentials::ApiKey(Secret::new("k 1"))
}

#[tokio::test]
async fn query_parameters_have_the_documented_form() {
    let day = NaiveDate::from_ymd_opt(2026, 1, 15);
    for (query, expected) in [
        (OperationsQuery::default(), "count=100&descending=false"),
        (OperationsQuery { day, count: 7, descending: true, after: None }, "count=7&descending=true&date=2026-01-15"),
        (
            OperationsQuery { after: Some(Cursor::Creations(SequenceId(5))), ..OperationsQuery::default() },
            "count=100&descending=false&from_operation_create_id=5",
        ),
        (
            OperationsQuery {
                after: Some(Cursor::Updates(SequenceId(99_999_999_999_999_999_999))),
                ..OperationsQuery::default()
            },
            "count=100&descending=false&from_operation_update_id=99999999999999999999",
        ),
    ] {
        let server = StubServer::start(|_, _| Answer::ok("[]"));
        let client = client(&server, key());
        // Spawned, as a job does it: the future must be free to move between threads.
        let page = tokio::spawn(async move { client.operations(&query).await }).await.expect("no panic");
        assert!(page.expect("a page").is_empty());
        let expected = format!("GET /collector1/api/v1/operation?{expected}&apikey=k+1 HTTP/1.1");
        assert_eq!(server.requests()[0].line, expected);
    }
}

#[tokio::test]
async fn basic_credentials_are_sent_in_the_header() {
    let server = StubServer::start(|_, requests| Answer::Full(403, "", requests.headers.join(" ")));
    let basic = Credentials::Basic { username: "u".to_owned(), password: Secret::new("pass") };
    let error = client(&server, basic).operations(&OperationsQuery::default()).await.expect_err("403");
    assert!(server.requests()[0].headers.contains(&"authorization:basic dtpwyxnz".to_owned()), "u:pass, in lower case");
    assert!(!server.requests()[0].line.contains("apikey"));
    assert!(error.to_string().contains("[redacted]") && !error.to_string().contains("dtpwyxnz"), "{error}");
}

#[tokio::test]
async fn malformed_record_affects_no_other_and_truncated_page_is_retried() {
    let server = StubServer::start(|number, _| match number {
        0 => Answer::ok(r#"[{"operation_id": "1", "contact": "payer@exam"#),
        _ => Answer::ok(r#"{"operations": [7, {"operation_id": "1", "operation_update_id": "3"}]}"#),
    });
    let page = client(&server, key()).operations(&OperationsQuery::default()).await.expect("a page");
    assert_eq!((page.operations.len(), page.update_ids().max()), (2, Some(SequenceId(3))));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn debug_output_of_settings_has_no_secrets() {
    let password = Secret::new("hunter2");
    for credentials in
        [Credentials::ApiKey(password.clone()), Credentials::Basic { username: "u".to_owned(), password }]
    {
        let settings = VimaSettings { base_url: Url::parse("http://x/").expect("an address"), credentials };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
