//! How the web console is served: its page under the path of every view, its files for good, and nothing in the place of the API.
//!
//! A program that was built before `make console` has no console, and its start page is the documentation. Both are tested, each in
//! the programs that are like that: CI builds the console.

use reqwest::{Client, Method};

use crate::harness::test_system::{ApiResponse, OPERATOR, TestSystem, Web, header};

const VIEWS: [&str; 4] =
    ["/payments?status=failed&open=17", "/reconciliation/2026-01-15", "/merchants/91game/m%2F7", "/keys"];

async fn get(web: &Web, path: &str, headers: &[(&str, &str)]) -> ApiResponse {
    web.send(Method::GET, path, headers).await
}

#[tokio::test]
async fn console_is_served_beside_the_api() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    nothing_of_the_api_is_shadowed(&web).await;
    let start = get(&web, "/", &[]).await;
    if start.status == 307 {
        documentation_is_shown_instead(&web, &start).await;
    } else {
        every_view_is_the_page(&web, &start).await;
        files_are_kept_and_compressed(&web, &start).await;
    }
}

async fn nothing_of_the_api_is_shadowed(web: &Web) {
    for path in
        ["/api/payments", "/api/v1/payments", "/payment", "/paymentsx/1", "/assets", "/assets/a/b", "/index.html"]
    {
        let response = get(web, path, &[]).await;
        assert_eq!(response.status, 404, "{path}: {response:?}");
        assert_eq!(response.header("content-type"), "application/problem+json", "{path}");
    }
    for path in ["/", "/payments", "/keys/17", "/assets/main.js"] {
        let response = web.request(Method::POST, path, Some(OPERATOR), None).await.expect("the web process responds");
        assert_eq!((response.status, response.header("allow")), (405, "GET, HEAD"), "{path}: {response:?}");
    }
}

async fn documentation_is_shown_instead(web: &Web, start: &ApiResponse) {
    assert_eq!(start.header("location"), "/api/docs");
    for path in ["/payments", "/assets/main.js", "/favicon.svg"] {
        let response = get(web, path, &[]).await;
        assert_eq!(response.status, 404, "{path}: {response:?}");
        assert!(response.text.contains("make console"), "{path}: {response:?}");
    }
}

async fn every_view_is_the_page(web: &Web, start: &ApiResponse) {
    assert_eq!((start.status, start.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(start.header("cache-control"), "no-cache");
    let policy = start.header("content-security-policy");
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
    assert!(!start.text.contains("<style") && !start.text.contains(" style=") && !start.text.contains("<script>"));
    for path in VIEWS {
        let view = get(web, path, &[]).await;
        assert_eq!((view.status, &view.text), (200, &start.text), "{path}");
    }
    let known = start.header("etag");
    for (sent, status) in [(known, 304), ("W/\"other\"", 200), (&format!("W/\"other\", {known}"), 304)] {
        let response = get(web, "/payments", &[("if-none-match", sent)]).await;
        assert_eq!(response.status, status, "{sent}");
        assert_eq!(response.text.is_empty(), status == 304, "{sent}");
    }
}

async fn files_are_kept_and_compressed(web: &Web, start: &ApiResponse) {
    // One that decompresses hides how a file came.
    #[expect(clippy::disallowed_methods, reason = "tests send requests to our own servers, not to a provider")]
    let raw = Client::builder().no_proxy().no_gzip().no_brotli().build().expect("an HTTP client");
    let mut kinds = vec![];
    for asset in start.text.split('"').filter(|part| part.starts_with("/assets/")) {
        let plain = get(web, asset, &[]).await;
        assert_eq!(plain.status, 200, "{asset}: {plain:?}");
        assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable", "{asset}");
        assert_eq!(plain.header("content-encoding"), "", "{asset}");
        for (accepted, expected) in [("gzip", "gzip"), ("gzip, br", "br"), ("gzip, br;q=0", "gzip"), ("zstd", "")] {
            let head = raw.head(web.url(asset)).header("accept-encoding", accepted).send().await.expect("a response");
            assert_eq!(header(head.headers(), "content-encoding"), expected, "{asset}: {accepted}");
            assert_eq!(header(head.headers(), "vary"), "accept-encoding", "{asset}");
        }
        kinds.push(plain.header("content-type").to_owned());
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["text/css; charset=utf-8", "text/javascript; charset=utf-8"]);
    let old = get(web, "/assets/main-of-an-older-release.js", &[]).await;
    assert_eq!(old.status, 404);
    assert!(old.text.contains("reload the page"), "{old:?}");
    assert_eq!(old.header("cache-control"), "no-store");
}
