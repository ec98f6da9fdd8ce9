//! Every error is a problem document, and every response has a request id.

use reqwest::Method;

use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER};

#[tokio::test]
async fn every_error_is_a_problem() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let trigger = "/api/v1/sync/trigger";
    let missing = "/api/v1/transactions/00000000-0000-0000-0000-000000000000";
    for (method, path, key, body, status, code) in [
        (Method::GET, "/no/such/path", Some(ADMIN), None, 404, "NOT_FOUND"),
        (Method::GET, "/api/v1/no-such-path", Some(ADMIN), None, 404, "NOT_FOUND"),
        (Method::GET, missing, Some(ADMIN), None, 404, "NOT_FOUND"),
        (Method::DELETE, "/api/v1/transactions", Some(ADMIN), None, 405, "METHOD_NOT_ALLOWED"),
        (Method::TRACE, "/api/v1/me", Some(ADMIN), None, 405, "METHOD_NOT_ALLOWED"),
        (Method::POST, "/api/docs", None, None, 405, "METHOD_NOT_ALLOWED"),
        (Method::GET, "/api/v1/transactions", None, None, 401, "UNAUTHENTICATED"),
        (Method::GET, "/api/v1/transactions", Some("no-such-key-at-all"), None, 401, "UNAUTHENTICATED"),
        (Method::POST, trigger, Some(VIEWER), Some("{}"), 403, "FORBIDDEN"),
        (Method::POST, trigger, Some(OPERATOR), Some("{"), 400, "BAD_REQUEST"),
        (Method::POST, trigger, Some(OPERATOR), Some(r#"{"source":"visa"}"#), 422, "VALIDATION_ERROR"),
        (Method::POST, trigger, Some(OPERATOR), Some(r#"{"mode":"range"}"#), 422, "VALIDATION_ERROR"),
        (Method::POST, "/api/v1/sync/trigger/visa", Some(OPERATOR), None, 422, "VALIDATION_ERROR"),
        (Method::GET, "/api/v1/transactions/17", Some(ADMIN), None, 422, "VALIDATION_ERROR"),
        (Method::GET, "/api/v1/transactions?status=done", Some(ADMIN), None, 422, "VALIDATION_ERROR"),
        (Method::GET, "/api/v1/transactions?limit=101", Some(ADMIN), None, 422, "VALIDATION_ERROR"),
        (Method::GET, "/api/v1/transactions?page=0", Some(ADMIN), None, 422, "VALIDATION_ERROR"),
        (Method::GET, "/api/v1/transactions?cursor=forged", Some(ADMIN), None, 422, "VALIDATION_ERROR"),
        (Method::GET, "/api/v1/transactions?search=ab", Some(ADMIN), None, 422, "VALIDATION_ERROR"),
        (Method::GET, "/api/v1/transactions?min_amount=ten", Some(ADMIN), None, 422, "VALIDATION_ERROR"),
        (Method::GET, "/api/v1/metrics/overview?timezone=Mars", Some(ADMIN), None, 422, "VALIDATION_ERROR"),
        (
            Method::GET,
            "/api/v1/metrics/overview?from_date=2026-02-01&to_date=2026-01-01",
            Some(ADMIN),
            None,
            422,
            "VALIDATION_ERROR",
        ),
    ] {
        let response = web.request(method.clone(), path, key, body).await.expect("the web process responds");
        assert_eq!(response.status, status, "{method} {path}: {response:?}");
        assert_eq!(response.headers["content-type"], "application/problem+json", "{method} {path}");
        let problem = response.json();
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&code.into(), &status.into()),
            "{method} {path}: {problem}"
        );
        let request_id = response.headers["x-request-id"].to_str().expect("plain text");
        assert_eq!(problem["request_id"], request_id, "{method} {path}: {problem}");
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {problem}");
        }
        let allow = response.headers.get("allow").map(|methods| methods.to_str().expect("plain text"));
        assert_eq!(allow, (status == 405).then_some("GET, HEAD"), "{method} {path}");
        if status == 422 {
            assert!(problem["errors"][0]["field"].is_string(), "{method} {path}: {problem}");
        }
    }
}

#[tokio::test]
async fn unknown_enum_value_lists_the_allowed_values() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let response = web.request(Method::GET, "/api/v1/transactions?status=done", Some(ADMIN), None).await;
    let problem = response.expect("the web process responds").text;
    for allowed in ["success", "failed", "pending", "processing", "refunded", "unknown"] {
        assert!(problem.contains(allowed), "{problem}");
    }
}

#[tokio::test]
async fn health_and_docs_need_no_key_and_request_ids_are_echoed() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    for path in
        ["/health", "/health/", "/health/live", "/health/ready", "/api/docs", "/api/openapi.json", "/api/openapi.yaml"]
    {
        let response = web.request(Method::GET, path, None, None).await.expect("the web process responds");
        assert_eq!(response.status, 200, "{path}: {response:?}");
    }
    let docs = web.request(Method::GET, "/api/docs", None, None).await.expect("the web process responds").text;
    assert!(
        !docs.contains("src=\"http") && !docs.contains("href=\"http"),
        "the docs must work without internet access"
    );
    let mine = [("x-request-id", "my-own-id"), ("x-api-key", ADMIN)];
    let response = web.post_with("/api/v1/sync/trigger/vima", &mine, "").await;
    assert_eq!(response.headers["x-request-id"], "my-own-id");
}

#[tokio::test]
async fn only_configured_origins_are_allowed_by_cors() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web_with(&[("CORS_ALLOWED_ORIGINS", "https://dashboard.example")]).await;
    for (origin, allowed) in [("https://dashboard.example", true), ("https://elsewhere.example", false)] {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "content-type,x-api-key"),
        ];
        let response = web.options("/api/v1/transactions", &headers).await;
        let granted = response.headers.get("access-control-allow-origin").map(|origin| origin.to_str().expect("text"));
        assert_eq!(granted, allowed.then_some(origin), "{response:?}");
    }
}
