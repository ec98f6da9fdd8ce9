//! Overviews per second of one web process: while nothing changes, and while a payment is committed ten times per second.
//!
//! The clients know how many payments were committed before each request. A response that counts fewer is stale; there must
//! be none.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use psp_dashboard::clock::{Clock, SystemClock};

use super::writer::{Writer, every};
use crate::harness::test_system::Web;
use crate::report::{self, Durations, Target};

const CONNECTIONS: [usize; 2] = [8, 64];
const REQUESTED: Duration = Duration::from_secs(5);
const BETWEEN_COMMITS: Duration = Duration::from_millis(100);

/// How many payments there were at the start, and how many commits were started and finished since.
struct Commits {
    path: String,
    initial: i64,
    started: AtomicI64,
    finished: AtomicI64,
}

/// The responses to one connection.
#[derive(Debug, Default)]
struct Responses {
    waits: Vec<Duration>,
    stale: i64,
}

pub(super) async fn measure(web: &Web, writer: &Writer) {
    report::heading(&format!("the overview of a week, one web process, requested for {} s", REQUESTED.as_secs()));
    let today = SystemClock.now().date_naive();
    // Including tomorrow, so that payments created during the measurement are in the range at any time of day.
    let (from, to) = (today - chrono::Days::new(5), today + chrono::Days::new(1));
    let path = format!("/api/v1/metrics/overview?from_date={from}&to_date={to}&timezone=UTC");
    let initial = total(web, &path).await;
    let commits = Commits { path, initial, started: AtomicI64::new(0), finished: AtomicI64::new(0) };
    for connections in CONNECTIONS {
        print(connections, "nothing changes", request_concurrently(web, &commits, connections).await);
        let writing = every(BETWEEN_COMMITS, || commit(writer, &commits));
        let responses = tokio::select! {
            responses = request_concurrently(web, &commits, connections) => responses,
            never = writing => never,
        };
        print(connections, "10 commits per second", responses);
    }
    let finished = commits.finished.load(Ordering::SeqCst);
    report::print("payments committed meanwhile", report::count(finished), "", Target::None);
}

async fn commit(writer: &Writer, commits: &Commits) {
    commits.started.fetch_add(1, Ordering::SeqCst);
    writer.store(vec![writer.new_payment(SystemClock.now())]).await;
    commits.finished.fetch_add(1, Ordering::SeqCst);
}

async fn request_concurrently(web: &Web, commits: &Commits, connections: usize) -> Vec<Responses> {
    join_all((0..connections).map(|_| request_overviews(web, commits))).await
}

async fn request_overviews(web: &Web, commits: &Commits) -> Responses {
    let (started, mut responses) = (Instant::now(), Responses::default());
    while started.elapsed() < REQUESTED {
        let least = commits.initial + commits.finished.load(Ordering::SeqCst);
        let sent = Instant::now();
        let total = total(web, &commits.path).await;
        responses.waits.push(sent.elapsed());
        responses.stale += i64::from(total < least);
        assert!(
            total <= commits.initial + commits.started.load(Ordering::SeqCst),
            "it counts {total}, more than were ever committed"
        );
    }
    responses
}

async fn total(web: &Web, path: &str) -> i64 {
    web.get(path).await["total_count"].as_i64().expect("a count")
}

fn print(connections: usize, meanwhile: &str, responses: Vec<Responses>) {
    let stale = responses.iter().map(|responses| responses.stale).sum();
    let waits: Vec<Duration> = responses.into_iter().flat_map(|responses| responses.waits).collect();
    let count = i64::try_from(waits.len()).unwrap_or(i64::MAX);
    let waits = Durations::new(waits);
    let name = |measured: &str| format!("{connections} connections, {meanwhile}: {measured}");
    report::print(&name("responses"), report::per_second(count, REQUESTED), "/s", Target::AtLeast(2_000.0));
    report::print(&name("p50"), waits.percentile_ms(50), "ms", Target::None);
    report::print(&name("p95"), waits.percentile_ms(95), "ms", Target::None);
    report::print(&name("stale responses"), report::count(stale), "", Target::AtMost(0.0));
}
