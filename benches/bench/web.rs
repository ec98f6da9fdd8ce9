//! The start-up time and the idle memory of a web process, what its limits cost, and what they protect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;

use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::programs::Memory;
use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web};
use crate::report::{self, Durations, Target};

const REQUESTED: Duration = Duration::from_secs(10);
/// How many queries of one viewer run at the same time.
const WORST_CASE_QUERIES: usize = 16;
const PAYMENTS: u32 = 300_000;

pub(crate) async fn measure() {
    let system = TestSystem::start(&[]).await;
    let started = Instant::now();
    let web = system.start_web().await;
    let ready = started.elapsed();
    for _ in 0..50 {
        let response = web.request(Method::GET, "/health", None, None).await.expect("the web process responds");
        assert_eq!(response.status, 200);
    }
    let resident = web.program.memory_mib(Memory::Resident);
    report::heading("psp web");
    report::print("start to ready", ready.as_secs_f64() * 1_000.0, "ms", Target::None);
    report::print("resident while idle", resident, "MB", Target::None);
    let limited = system.start_web_with(&[("RATE_LIMIT_PER_KEY", "1000000")]).await;
    let (without, with) =
        (request(&web, |_| "/api/v1/me".to_owned()).await, request(&limited, |_| "/api/v1/me".to_owned()).await);
    report::print("request without limits, p50", without.percentile_ms(50), "ms", Target::None);
    report::print("request with a rate in Redis, p50", with.percentile_ms(50), "ms", Target::None);
    measure_other_clients(&system).await;
}

/// Requests of an operator, alone and beside the slowest queries of a viewer, none of which is cached.
async fn measure_other_clients(system: &TestSystem) {
    insert_transactions(&system.pool, 1..=PAYMENTS).await;
    let web = system.start_web_with(&[("EXPENSIVE_QUERIES_PER_KEY", "2")]).await;
    let page = |number: usize| format!("/api/v1/transactions?limit=50&page={}", number % 1_000 + 1);
    let alone = request(&web, page).await;
    let stop = AtomicBool::new(false);
    let viewer = join_all((0..WORST_CASE_QUERIES).map(|client| {
        let (web, stop) = (&web, &stop);
        async move {
            let mut number = client;
            while !stop.load(Ordering::Relaxed) {
                let path = format!("/api/v1/transactions?min_amount={number}&currency=INR&sort_by=amount");
                let response = web.request(Method::GET, &path, Some(VIEWER), None).await.expect("a response");
                assert!([200, 429, 503].contains(&response.status), "{response:?}");
                number += WORST_CASE_QUERIES;
            }
        }
    }));
    let (beside, _) = tokio::join!(
        async {
            let beside = request(&web, page).await;
            stop.store(true, Ordering::Relaxed);
            beside
        },
        viewer
    );
    report::print("page of payments alone, p95", alone.percentile_ms(95), "ms", Target::None);
    report::print("beside 16 worst-case queries of a viewer, p95", beside.percentile_ms(95), "ms", Target::None);
    report::print("ratio of the p95", beside.percentile(95) / alone.percentile(95), "", Target::AtMost(3.0));
}

async fn request(web: &Web, path: impl Fn(usize) -> String) -> Durations {
    let (started, mut waits) = (Instant::now(), vec![]);
    while started.elapsed() < REQUESTED {
        let sent = Instant::now();
        let response = web.request(Method::GET, &path(waits.len()), Some(OPERATOR), None).await.expect("a response");
        assert_eq!(response.status, 200, "{response:?}");
        waits.push(sent.elapsed());
    }
    Durations::new(waits)
}
