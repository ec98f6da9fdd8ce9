//! What every request is checked for, and what every response tells browsers.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, Response};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::test_system::{OPERATOR, TestSystem, Web, header};
use crate::harness::{eventually, http_client};

async fn send(http: &Client, web: &Web, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = http.get(web.url(path));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("the web process responds")
}

async fn assert_problem(response: Response, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{response:?}");
    assert_eq!(header(response.headers(), "content-type"), "application/problem+json", "{response:?}");
    let body = response.text().await.expect("a body");
    assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
}

#[tokio::test]
async fn requests_are_checked_and_responses_are_protected() {
    let system = TestSystem::start(&[]).await;
    let settings = [("PUBLIC_HOSTS", "dash.example.com"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
    let web = system.start_web_with(&settings).await;
    let http = http_client();
    responses_are_data(&http, &web).await;
    requests_are_small_and_for_this_host(&http, &web).await;
    compressed_bodies_are_refused(&http, &web).await;
    errors_are_bounded(&web, &http).await;
}

const PUBLIC: (&str, &str) = ("host", "dash.example.com");

async fn responses_are_data(http: &Client, web: &Web) {
    for path in ["/health", "/api/v1/me", "/no/such/path", "/api/docs"] {
        let response = send(http, web, path, &[PUBLIC]).await;
        let value = |name| header(response.headers(), name).to_owned();
        assert_eq!(value("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(value("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(value("strict-transport-security"), "", "{path}: this is not HTTPS");
        let expected = if path == "/api/docs" { "no-cache" } else { "no-store" };
        assert_eq!(value("cache-control"), expected, "{path}");
        let policy = value("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        let secure = send(http, web, path, &[PUBLIC, ("x-forwarded-proto", "https")]).await;
        assert_eq!(header(secure.headers(), "strict-transport-security"), "max-age=31536000", "{path}");
    }
}

async fn requests_are_small_and_for_this_host(http: &Client, web: &Web) {
    assert_eq!(send(http, web, "/health/live", &[]).await.status(), 200, "under any host");
    assert_eq!(send(http, web, "/metrics", &[]).await.status(), 401, "under any host, with a key");
    assert_problem(send(http, web, "/api/docs", &[]).await, 421, "MISDIRECTED_REQUEST").await;
    let long = format!("/api/v1/transactions?search={}", "a".repeat(9 << 10));
    assert_problem(send(http, web, &long, &[PUBLIC]).await, 414, "URI_TOO_LONG").await;
    let cookie = "a".repeat(17 << 10);
    assert_problem(send(http, web, "/api/docs", &[PUBLIC, ("cookie", &cookie)]).await, 431, "HEADERS_TOO_LARGE").await;
    #[expect(clippy::disallowed_methods, reason = "tests send requests to our own servers, not to a provider")]
    let http2 = Client::builder().no_proxy().http2_prior_knowledge().build().expect("an HTTP client");
    assert_eq!(send(&http2, web, "/health/live", &[]).await.status(), 200);
    assert_problem(send(&http2, web, "/health/live", &[("cookie", &cookie)]).await, 431, "HEADERS_TOO_LARGE").await;
    assert_problem(send(&http2, web, "/api/docs", &[]).await, 421, "MISDIRECTED_REQUEST").await;
}

async fn compressed_bodies_are_refused(http: &Client, web: &Web) {
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        let request = http.post(web.url("/api/v1/sync/trigger")).header("host", "dash.example.com");
        let request = request.header("x-api-key", OPERATOR).header("content-type", "application/json");
        let response = request.header("content-encoding", encoding).body(vec![0x1f, 0x8b, 8, 0]).send().await;
        assert_problem(response.expect("a response"), 415, "UNSUPPORTED_MEDIA_TYPE").await;
    }
}

async fn errors_are_bounded(web: &Web, http: &Client) {
    let mut body = json!({});
    for number in 0..50 {
        body[format!("field{number}")] = number.into();
    }
    let request = http.post(web.url("/api/v1/sync/trigger")).header("host", "dash.example.com");
    let request = request.header("x-api-key", OPERATOR).header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.expect("a response");
    let problem: serde_json::Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(20), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with("and 30 more errors")), "{problem}");
}

#[tokio::test]
async fn documents_are_compressed_once_and_swagger_ui_may_run() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    #[expect(clippy::disallowed_methods, reason = "tests send requests to our own servers, not to a provider")]
    let http =
        Client::builder().no_proxy().no_gzip().no_brotli().no_deflate().no_zstd().build().expect("an HTTP client");
    let get = async |path: &str, headers: &[(&str, &str)]| send(&http, &web, path, headers).await;
    for path in ["/api/docs", "/api/docs/events", "/api/openapi.json", "/api/openapi.yaml", "/api/asyncapi.yaml"] {
        let plain = get(path, &[("accept-encoding", "identity")]).await;
        let etag = header(plain.headers(), "etag").to_owned();
        assert_eq!((header(plain.headers(), "vary"), plain.status().as_u16()), ("Accept-Encoding", 200), "{path}");
        let unchanged = get(path, &[("if-none-match", &etag)]).await;
        assert_eq!((unchanged.status().as_u16(), header(unchanged.headers(), "etag")), (304, &*etag), "{path}");
        let length =
            |response: &Response| header(response.headers(), "content-length").parse::<u64>().expect("a length");
        let zipped = get(path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(header(zipped.headers(), "content-encoding"), "gzip", "{path}");
        assert!(length(&zipped) * 3 < length(&plain), "{path}: {} of {}", length(&zipped), length(&plain));
    }
    let smaller = eventually("Brotli to be ready", || async {
        let response = get("/api/openapi.json", &[("accept-encoding", "gzip, br")]).await;
        (header(response.headers(), "content-encoding") == "br").then_some(response)
    })
    .await;
    assert_eq!(smaller.status(), 200);

    let page = get("/api/docs", &[("accept-encoding", "identity")]).await;
    let policy = header(page.headers(), "content-security-policy").to_owned();
    let html = page.text().await.expect("a page");
    let (mut expected, mut rest) = (String::new(), html.as_str());
    // As browsers read it: a script that contains the text of another one ends at the first closing tag.
    while let Some((_, opened)) = rest.split_once("<script") {
        let script = opened.split_once('>').and_then(|(_, content)| content.split_once("</script>"));
        let (script, next) = script.expect("a script with an end");
        write!(expected, " 'sha256-{}'", STANDARD.encode(Sha256::digest(script))).expect("a text");
        rest = next;
    }
    assert!(policy.contains(&format!("script-src{expected};")), "{policy} does not allow{expected}");
    assert_eq!(web.request(Method::HEAD, "/api/docs", None, None).await.expect("a response").text, "");
}
