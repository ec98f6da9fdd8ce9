//! Limits of one caller: requests per minute, failed sign-ins, and what runs at the same time.

use reqwest::Method;
use sqlx::Executor;

use crate::export::insert_discrepancies;
use crate::harness::eventually;
use crate::harness::private_servers::PrivateRedis;
use crate::harness::servers::Servers;
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, VIEWER, Web};

const LIGHT: &str = "/api/v1/me";
const EXPENSIVE: &str = "/api/v1/metrics/heatmap";
const EXPORT: &str = "/api/v1/export/reconciliation";

async fn get(web: &Web, key: Option<&str>, path: &str) -> ApiResponse {
    web.request(Method::GET, path, key, None).await.expect("the web process responds")
}

/// Sends requests until one is a 429, and returns how many were not, and the 429.
async fn exhaust(web: &Web, key: Option<&str>, path: &str) -> (u32, ApiResponse) {
    for allowed in 0..1_000 {
        let response = get(web, key, path).await;
        if response.status == 429 {
            return (allowed, response);
        }
    }
    panic!("{path} is not limited");
}

#[tokio::test]
async fn request_rate_of_a_key_is_limited_across_processes() {
    let system = TestSystem::start(&[]).await;
    // So few that a slow machine does not regain them while it sends its requests.
    let settings = [("RATE_LIMIT_PER_KEY", "6")];
    let (first, second) = tokio::join!(system.start_web_with(&settings), system.start_web_with(&settings));

    let response = get(&first, Some(ADMIN), LIGHT).await;
    assert_eq!((response.header("ratelimit-policy"), response.status), ("\"key\";q=6;w=60", 200));
    assert!(response.header("ratelimit").starts_with("\"key\";r=5;t="), "{response:?}");
    let (allowed, refused) = exhaust(&first, Some(ADMIN), LIGHT).await;
    assert!(allowed >= 5, "{allowed}");
    let problem = refused.json();
    assert_eq!((&problem["code"], &problem["title"]), (&"RATE_LIMITED".into(), &"Too many requests".into()));
    let retry_after: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=10).contains(&retry_after), "{refused:?}");
    assert!(refused.header("ratelimit").starts_with("\"key\";r=0;t="), "{refused:?}");

    let (allowed, _) = exhaust(&second, Some(ADMIN), LIGHT).await;
    assert!(allowed < 6, "both processes share the limit, but the second allowed {allowed}");
    for (key, path, status) in [(Some(OPERATOR), LIGHT, 200), (None, "/health", 200), (None, "/health/ready", 200)] {
        assert_eq!(get(&first, key, path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn each_process_limits_on_its_own_while_redis_does_not_reply() {
    let redis = PrivateRedis::start().await;
    let system = TestSystem::start_on(Servers::with_redis(&redis).await, &[]).await;
    let web = system.start_web_with(&[("RATE_LIMIT_PER_KEY", "6")]).await;
    assert_eq!(get(&web, Some(ADMIN), LIGHT).await.status, 200);
    redis.freeze();
    let (allowed, refused) = exhaust(&web, Some(ADMIN), LIGHT).await;
    assert!(allowed >= 5 && !refused.header("retry-after").is_empty(), "{allowed} {refused:?}");
    assert_eq!(get(&web, Some(OPERATOR), LIGHT).await.status, 200);
    redis.unfreeze();
    assert_eq!(get(&web, Some(VIEWER), LIGHT).await.status, 200);
}

#[tokio::test]
async fn requests_without_a_valid_key_are_limited_by_address() {
    let system = TestSystem::start(&[]).await;
    let settings = [("FAILED_SIGN_INS_PER_ADDRESS", "3"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let web = system.start_web_with(&settings).await;
    let wrong = Some("no-such-key-at-all");
    let (allowed, refused) = exhaust(&web, wrong, LIGHT).await;
    assert!(allowed >= 3 && refused.text.contains("correct the key"), "{refused:?}");
    assert_eq!(get(&web, Some(VIEWER), LIGHT).await.status, 200, "a valid key is not affected");
    assert_eq!(get(&web, None, LIGHT).await.status, 401, "this is no attempt");
    let other = [("x-forwarded-for", "203.0.113.9"), ("x-api-key", "no-such-key-at-all")];
    assert_eq!(web.post_with("/api/v1/ws/ticket", &other, "").await.status, 401, "another address");

    // Another namespace for the same addresses.
    let system = TestSystem::start(&[]).await;
    let web = system.start_web_with(&[("RATE_LIMIT_PER_ADDRESS", "4")]).await;
    for (path, status) in [("/no/such/path", 404), ("/api/openapi.json", 200), (LIGHT, 401)] {
        assert_eq!(get(&web, None, path).await.status, status, "{path}");
    }
    let (_, refused) = exhaust(&web, None, "/api/openapi.json").await;
    assert!(refused.header("ratelimit-policy").starts_with("\"address\""), "{refused:?}");
    assert_eq!(get(&web, Some(VIEWER), LIGHT).await.status, 200, "a valid key is not affected");
}

#[tokio::test]
async fn one_key_cannot_run_all_expensive_queries() {
    let system = TestSystem::start(&[]).await;
    let settings = [("EXPENSIVE_QUERIES_PER_KEY", "1"), ("DATABASE_STATEMENT_TIMEOUT_SECONDS", "600")];
    let web = system.start_web_with(&settings).await;
    let mut lock = system.pool.begin().await.expect("the database responds");
    lock.execute("LOCK TABLE metric_cells").await.expect("the table exists");
    let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'metric_cells'::regclass";
    let release = async {
        eventually("a query to be blocked", || async { (system.number(blocked).await > 0).then_some(()) }).await;
        let refused = get(&web, Some(VIEWER), "/api/v1/metrics/trends").await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, "5"), "{refused:?}");
        assert!(refused.text.contains("expensive queries"), "{refused:?}");
        for path in [LIGHT, "/api/v1/jobs"] {
            assert_eq!(get(&web, Some(VIEWER), path).await.status, 200, "{path} does not wait");
        }
        lock.rollback().await.expect("the database responds");
    };
    let (first, ()) = tokio::join!(get(&web, Some(VIEWER), EXPENSIVE), release);
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(get(&web, Some(VIEWER), EXPENSIVE).await.status, 200, "its place is free again");
}

#[tokio::test]
async fn sockets_and_downloads_of_a_key_are_limited() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 50_000).await;
    let settings = [("WEBSOCKETS_PER_KEY", "1"), ("DOWNLOADS_PER_KEY", "1"), ("DATABASE_MAX_CONNECTIONS", "12")];
    let web = system.start_web_with(&settings).await;

    let socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    let ticket = async || {
        let response = web.request(Method::POST, "/api/v1/ws/ticket", Some(VIEWER), None).await.expect("a response");
        format!("{}?ticket={}", web.socket(), response.json()["ticket"].as_str().expect("a ticket"))
    };
    assert_eq!(Socket::refused_status(&ticket().await).await, 429);
    let _other = Socket::connect_with_key(&web.socket(), OPERATOR).await;

    let download = web.download(VIEWER, EXPORT, &[]).await;
    assert_eq!(download.status(), 200);
    let refused = web.download(VIEWER, EXPORT, &[]).await;
    assert_eq!(refused.status(), 429, "the first is not read to its end");
    assert_eq!(web.download(OPERATOR, EXPORT, &[]).await.status(), 200);
    drop((download, socket));
    eventually("the download to make room for another", || async {
        (web.download(VIEWER, EXPORT, &[]).await.status() == 200).then_some(())
    })
    .await;
    let _socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
}
