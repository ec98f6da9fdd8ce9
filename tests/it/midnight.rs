//! Requests without dates mean other days after midnight, also if nothing else has changed.

use std::sync::Arc;
use std::time::Duration;

use poem::{Endpoint, Request, Response};
use psp_dashboard::clock::{Clock, ManualClock};
use psp_dashboard::config::{EnvVars, WebConfig};
use psp_dashboard::web::app;
use psp_dashboard::web::events::{Hub, ServerFeed};
use psp_dashboard::web::state::State;
use serde_json::Value;

use crate::harness::test_system::{ADMIN, TestSystem};

/// The period of a response, or the first and the last of its times.
async fn period(web: &impl Endpoint<Output = Response>, path: &str) -> Value {
    let request = Request::builder()
        .uri_str(format!("/api/v1{path}"))
        .header("x-api-key", ADMIN)
        .header("host", "localhost")
        .finish();
    let response = web.get_response(request).await;
    assert!(response.status().is_success(), "{path}: {}", response.status());
    let body: Value = response.into_body().into_json().await.expect("JSON");
    assert!(!body["period"].is_null(), "{path}: {body}");
    body["period"].clone()
}

#[tokio::test]
async fn requests_without_dates_cover_the_new_day_after_midnight() {
    let system = TestSystem::start(&[]).await;
    let mut env_vars = EnvVars::from_pairs(system.settings());
    let config = WebConfig::read(&mut env_vars).expect("valid settings");
    let clock = Arc::new(ManualClock::at("2026-01-15T23:59:59Z".parse().expect("a time")));
    let state = State::connect(&config, clock.clone()).await.expect("the servers are running");
    let feed = ServerFeed { pool: system.pool.clone(), redis: system.servers.redis().await };
    let hub = Hub::start(Arc::new(feed), clock.clone(), config.event_names).await.expect("the servers are running");
    let scraper = app::scraper(&state, &hub);
    let web = app::build(Arc::new(state), &hub, scraper);
    let paths = [
        "/metrics/trends",
        "/metrics/trends?granularity=day",
        "/metrics/by-source",
        "/metrics/overview",
        "/metrics/by-project",
        "/metrics/by-country",
        "/metrics/by-merchant",
        "/metrics/by-status",
        "/metrics/by-payment-method",
        "/metrics/heatmap",
        "/metrics/hourly-distribution",
        "/metrics/amount-distribution",
        "/metrics/conversion-by-project",
        "/metrics/horizontal-bars/project",
        "/metrics/by-original-status",
        "/metrics/failures",
        "/metrics/time-to-final",
        "/filters",
    ];
    for (advance, last_day) in [(0, "2026-01-15"), (1, "2026-01-16"), (86_400, "2026-01-17")] {
        clock.advance(Duration::from_secs(advance));
        for path in paths {
            let period = period(&web, path).await;
            assert_eq!(period["to"], last_day, "{path} at {}", clock.now());
        }
    }
    hub.close().await;
}
