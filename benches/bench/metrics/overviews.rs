//! Overviews a second of one web process: while nothing changes, and while a payment is committed ten times a second.
//!
//! Whoever asks knows how many payments were committed before. An answer that counts fewer is stale; there must be none.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use psp_dashboard::clock::{Clock, SystemClock};

use super::writer::{Writer, every};
use crate::figure::{self, Target, Waits};
use crate::harness::test_system::Web;

const CONNECTIONS: [usize; 2] = [8, 64];
const ASKED: Duration = Duration::from_secs(5);
const BETWEEN_COMMITS: Duration = Duration::from_millis(100);

/// How many payments there were at first, and have been since.
struct Known {
    path: String,
    at_first: i64,
    begun: AtomicI64,
    committed: AtomicI64,
}

/// What one connection was told.
#[derive(Debug, Default)]
struct Told {
    waits: Vec<Duration>,
    stale: i64,
}

/// Measures and prints.
pub(super) async fn measure(web: &Web, writer: &Writer) {
    println!("the overview of a week, one web process, asked for {} s:", ASKED.as_secs());
    let today = SystemClock.now().date_naive();
    // Tomorrow is among them: what is created while this goes on belongs to these days, whatever the hour.
    let (from, to) = (today - chrono::Days::new(5), today + chrono::Days::new(1));
    let path = format!("/api/v1/metrics/overview?from_date={from}&to_date={to}&timezone=UTC");
    let at_first = total(web, &path).await;
    let known = Known { path, at_first, begun: AtomicI64::new(0), committed: AtomicI64::new(0) };
    for connections in CONNECTIONS {
        print(connections, "nothing changes", ask_at_once(web, &known, connections).await);
        let writing = every(BETWEEN_COMMITS, || commit(writer, &known));
        let told = tokio::select! {
            told = ask_at_once(web, &known, connections) => told,
            never = writing => never,
        };
        print(connections, "10 commits a second", told);
    }
    let commits = known.committed.load(Ordering::SeqCst);
    figure::print("payments committed meanwhile", figure::count(commits), "", Target::None);
}

async fn commit(writer: &Writer, known: &Known) {
    known.begun.fetch_add(1, Ordering::SeqCst);
    writer.store(vec![writer.new_payment(SystemClock.now())]).await;
    known.committed.fetch_add(1, Ordering::SeqCst);
}

async fn ask_at_once(web: &Web, known: &Known, connections: usize) -> Vec<Told> {
    join_all((0..connections).map(|_| ask(web, known))).await
}

async fn ask(web: &Web, known: &Known) -> Told {
    let (began, mut told) = (Instant::now(), Told::default());
    while began.elapsed() < ASKED {
        let least = known.at_first + known.committed.load(Ordering::SeqCst);
        let asked = Instant::now();
        let total = total(web, &known.path).await;
        told.waits.push(asked.elapsed());
        told.stale += i64::from(total < least);
        assert!(
            total <= known.at_first + known.begun.load(Ordering::SeqCst),
            "it counts {total}, of which some never were"
        );
    }
    told
}

async fn total(web: &Web, path: &str) -> i64 {
    web.get(path).await["total_count"].as_i64().expect("a count")
}

fn print(connections: usize, meanwhile: &str, told: Vec<Told>) {
    let stale = told.iter().map(|told| told.stale).sum();
    let waits: Vec<Duration> = told.into_iter().flat_map(|told| told.waits).collect();
    let answers = i64::try_from(waits.len()).unwrap_or(i64::MAX);
    let waits = Waits::of(waits);
    let what = |figure: &str| format!("{connections} connections, {meanwhile}: {figure}");
    figure::print(&what("answers"), figure::rate(answers, ASKED), "/s", Target::AtLeast(2_000.0));
    figure::print(&what("p50"), waits.percentile(50) * 1_000.0, "ms", Target::None);
    figure::print(&what("p95"), waits.percentile(95) * 1_000.0, "ms", Target::None);
    figure::print(&what("stale answers"), figure::count(stale), "", Target::AtMost(0.0));
}
