//! Query parameters that an operation does not have: refused everywhere, or ignored and listed with `LENIENT_PARAMETERS`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, VIEWER, Web};

async fn get(web: &Web, path: &str) -> ApiResponse {
    web.request(Method::GET, path, Some(ADMIN), None).await.expect("the web process responds")
}

fn document() -> Value {
    serde_json::from_str(include_str!("../../openapi/openapi.json")).expect("JSON")
}

#[tokio::test]
async fn every_operation_refuses_unknown_parameters() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web_with(&[("RATE_LIMIT_PER_KEY", "0")]).await;
    let document = document();
    let outside = ["/ws", "/ws/updates", "/api/docs", "/api/asyncapi.yaml", "/favicon.svg"].map(|path| (path, "get"));
    let described = document["paths"].as_object().expect("paths").iter().flat_map(|(path, item)| {
        item.as_object().expect("methods").keys().map(move |method| (path.as_str(), method.as_str()))
    });
    let mut count = 0;
    for (path, method) in described.chain(outside) {
        // Not written by clients: see Policy::refuses_unknown_parameters.
        if path.starts_with("/health") || path == "/metrics" || path == "/api/v1/session/oidc/callback" {
            continue;
        }
        let id = "00000000-0000-0000-0000-000000000000";
        let filled =
            path.replace("{id}", id).replace("{delivery_id}", id).replace("{name}", "x").replace("{source}", "vima");
        let method: Method = method.to_uppercase().parse().expect("a method");
        let path = format!("{filled}?zzz=1");
        let response = web.request(method.clone(), &path, Some(ADMIN), None).await.expect("the web process responds");
        assert_eq!(response.status, 422, "{method} {path}: {response:?}");
        assert_eq!(response.json()["errors"][0]["field"], "zzz", "{method} {path}: {response:?}");
        count += 1;
    }
    assert!(count > 80, "{count} operations");
}

#[tokio::test]
async fn refusal_names_the_closest_parameter_and_free_names_pass() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let response = get(&web, "/api/v1/transactions?projct=a&status=success").await;
    let problem = response.json();
    let expected = json!([{"field": "projct", "message": "unknown parameter; did you mean project?"}]);
    assert_eq!((response.status, &problem["errors"]), (422, &expected), "{problem}");
    for (path, status) in [
        ("/api/v1/transactions?_=1768471200&limit=1", 200),
        ("/api/v1/transactions/?limit=1&_", 200),
        ("/api/v1/me?_=1", 200),
        ("/api/v1/me?a=1", 422),
        ("/api/v1/metrics/trends?granularity=day&projects=a", 422),
        ("/api/v1/export/transactions?formt=xlsx", 422),
        ("/api/v1/export/transactions?format=csv&_=1", 200),
        ("/api/v1/events?event=sync_*", 422),
        ("/ws/updates?tiket=x", 422),
        ("/health?probe=1", 200),
        ("/health/live?probe=1", 200),
        ("/metrics?x=1", 200),
        ("/no/such/path?x=1", 404),
    ] {
        let response = get(&web, path).await;
        assert_eq!(response.status, status, "{path}: {response:?}");
        assert!(!response.headers.contains_key("x-ignored-parameters"), "{path}: {response:?}");
    }
    let stranger = web.request(Method::GET, "/api/v1/transactions?projct=a", None, None).await.expect("a response");
    assert_eq!(stranger.status, 401, "{stranger:?}");
    let head = web.send(Method::HEAD, "/api/v1/me?a=1", &[("x-api-key", VIEWER)]).await;
    assert_eq!(head.status, 422, "{head:?}");
    let preflight = [("origin", "https://dashboard.example"), ("access-control-request-method", "GET")];
    assert_eq!(web.options("/api/v1/transactions?projct=a", &preflight).await.status, 204);
}

#[tokio::test]
async fn refused_change_is_audited() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let path = "/api/v1/sync/trigger/vima?forse=true";
    let response = web.request(Method::POST, path, Some(OPERATOR), None).await.expect("a response");
    assert_eq!(response.status, 422, "{response:?}");
    let entries = web.get("/api/v1/audit?operation=triggerSyncOfSource").await;
    assert_eq!(entries["items"][0]["outcome"], "rejected", "{entries}");
    assert_eq!(system.number("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test]
async fn query_of_an_order_is_checked_like_that_of_a_request() {
    let system = TestSystem::start(&[]).await;
    let (strict, lenient) = (system.start_web().await, system.start_web_with(&[("LENIENT_PARAMETERS", "true")]).await);
    for (query, status) in
        [("?format=csv&projct=a", 422), ("format=csv&project=a&timezone=Asia/Kolkata", 202), ("format=csv&_=1", 202)]
    {
        let body = json!({"export": "transactions", "query": query}).to_string();
        let response = strict.request(Method::POST, "/api/v1/exports", Some(OPERATOR), Some(&body)).await;
        let response = response.expect("the web process responds");
        assert_eq!(response.status, status, "{query}: {response:?}");
        let response = lenient.request(Method::POST, "/api/v1/exports", Some(OPERATOR), Some(&body)).await;
        assert_eq!(response.expect("the web process responds").status, 202, "{query}");
    }
}

#[tokio::test]
async fn lenient_service_ignores_and_lists_unknown_parameters() {
    let system = TestSystem::start(&[]).await;
    let settings = [("LENIENT_PARAMETERS", "true"), ("CORS_ALLOWED_ORIGINS", "https://dashboard.example")];
    let web = system.start_web_with(&settings).await;
    for (path, status, ignored) in [
        ("/api/v1/transactions?projct=a&utm_source=b,c&limit=1", 200, "projct, utm_source"),
        ("/api/v1/transactions?a%0d%0aset-cookie:b=1", 200, "a%0D%0Aset-cookie%3Ab"),
        ("/api/v1/transactions?status=done&x=1", 422, "x"),
        ("/api/v1/transactions/00000000-0000-0000-0000-000000000000?x=1", 404, "x"),
        ("/api/v1/me?x", 200, "x"),
        ("/api/v1/export/transactions?formt=xlsx", 200, "formt"),
        ("/api/v1/transactions?limit=1&_=1", 200, ""),
    ] {
        let response = get(&web, path).await;
        assert_eq!(response.status, status, "{path}: {response:?}");
        let header = response.headers.get("x-ignored-parameters").map(|names| names.to_str().expect("plain text"));
        assert_eq!(header.unwrap_or_default(), ignored, "{path}: {response:?}");
        assert!(!response.headers.contains_key("set-cookie"), "{path}: {response:?}");
    }
    // A page that is cached without unknown parameters is the same with them, but the header is that of each request.
    for (query, ignored) in [("", None), ("&x=1", Some("x")), ("&y=1", Some("y")), ("", None)] {
        let response = get(&web, &format!("/api/v1/transactions?limit=2{query}")).await;
        assert_eq!(response.json()["limit"], 2, "{response:?}");
        assert_eq!(response.headers.get("x-ignored-parameters").map(|names| names.to_str().expect("text")), ignored);
    }
    let headers = [("origin", "https://dashboard.example"), ("x-api-key", VIEWER)];
    let response = web.send(Method::GET, "/api/v1/me?x=1", &headers).await;
    let exposed = response.headers["access-control-expose-headers"].to_str().expect("plain text");
    assert!(exposed.split(", ").any(|name| name == "X-Ignored-Parameters"), "{exposed}");
}
