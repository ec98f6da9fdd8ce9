//! Replicas answer lists, metrics and exports as the primary would: never an older state, whatever happens to them.
//!
//! Each answer of a process that reads from the replica is compared with that of a process that does not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::Days;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::observability::record::ReadFrom;
use reqwest::Method;
use sqlx::PgPool;

use crate::harness::eventually;
use crate::harness::exported_files::csv_rows;
use crate::harness::exports::{create_export, wait_for_export};
use crate::harness::postgres_server::PostgresServer;
use crate::harness::private_servers::PrivatePostgres;
use crate::harness::programs::{Program, RunningProgram, free_port, run};
use crate::harness::scrape::scrape;
use crate::harness::servers::{Servers, number};
use crate::harness::test_system::{ADMIN, TestSystem, Web};

/// Longer than it takes to notice that a replica hangs and to ask the primary.
const SOON: Duration = Duration::from_secs(10);

/// A primary with a replica, and a worker.
struct Replicated {
    postgres: PrivatePostgres,
    system: TestSystem,
    worker: RunningProgram,
    worker_metrics: String,
    /// A web process that reads from the primary only.
    plain: Web,
}

/// A web process that reads from the replica, and the port of its own metrics.
struct ReplicaWeb {
    web: Web,
    metrics_port: String,
}

type Reads = BTreeMap<&'static str, f64>;

impl Replicated {
    async fn start() -> Self {
        let postgres = PrivatePostgres::start_with_replica().await;
        let servers = Servers::with_postgres(&postgres).await;
        let system = TestSystem::start_on(servers, &["--history-days", "3", "--per-day", "200"]).await;
        let worker_metrics = free_port().to_string();
        let read_url = postgres.replica().url_of(&system.servers.worker_url());
        let settings = [("DATABASE_READ_URL", &*read_url), ("HOST", "127.0.0.1"), ("METRICS_PORT", &*worker_metrics)];
        let worker = system.start_jobs_with(&["worker"], &settings);
        let plain = system.start_web().await;
        let replicated = Self { postgres, system, worker, worker_metrics, plain };
        replicated.system.sync_both().await;
        replicated.wait_until_replayed().await;
        replicated
    }

    fn replica(&self) -> &PostgresServer {
        self.postgres.replica()
    }

    async fn start_web(&self) -> ReplicaWeb {
        self.start_web_at(&self.replica().url_of(&self.system.servers.web_url())).await
    }

    async fn start_web_at(&self, read_url: &str) -> ReplicaWeb {
        let metrics_port = free_port().to_string();
        let settings = [("DATABASE_READ_URL", read_url), ("METRICS_PORT", &metrics_port)];
        ReplicaWeb { web: self.system.start_web_with(&settings).await, metrics_port }
    }

    /// Stores new payments, which the primary has when this returns.
    async fn store_new_payments(&self) {
        let before = self.stored().await;
        self.system.sandbox.create_and_change(20, 10).await;
        self.system.sync_both().await;
        assert!(self.stored().await > before);
    }

    async fn stored(&self) -> i64 {
        self.system.number("SELECT count(*) FROM transactions").await
    }

    /// The number of payments that the replica has.
    async fn replayed(&self) -> i64 {
        let pool = PgPool::connect(&self.replica().url_of(&self.system.servers.database_url)).await;
        number(&pool.expect("the replica runs"), "SELECT count(*) FROM transactions").await
    }

    async fn wait_until_replayed(&self) {
        eventually("the replica to have every payment", || async {
            (self.replayed().await == self.stored().await).then_some(())
        })
        .await;
    }

    /// Asks both processes the same new questions, and asserts that they answer the same, and soon. No payment changes meanwhile.
    async fn assert_same_answers(&self, replica_web: &ReplicaWeb) {
        for question in new_questions() {
            let started = Instant::now();
            let found = answer(&replica_web.web, &question).await;
            assert!(started.elapsed() < SOON, "{question} took {:?}", started.elapsed());
            assert_eq!(found, answer(&self.plain, &question).await, "{question}");
        }
    }

    /// `psp check` says this about the replicas, and that the programs can start.
    fn assert_check_reports(&self, read_url: &str, expected: &str) {
        let setting = ("DATABASE_READ_URL", read_url.to_owned());
        let checked = run(Program::Psp, &["check"], self.system.settings().into_iter().chain([setting]));
        assert!(checked.stdout.contains(expected) && !checked.stdout.contains("FAIL  replica"), "{checked:?}");
    }

    /// Waits until the replica answers the questions of a process again.
    async fn wait_for_replica_reads(&self, replica_web: &ReplicaWeb) {
        let before = replica_web.reads(ReadFrom::Replica).await;
        eventually("the replica to be read again", || async {
            self.assert_same_answers(replica_web).await;
            (replica_web.reads(ReadFrom::Replica).await > before).then_some(())
        })
        .await;
    }
}

impl ReplicaWeb {
    async fn reads(&self, from: ReadFrom) -> f64 {
        reads(&self.metrics_port).await[from.as_str()]
    }
}

/// How many reads of a process each server has answered, and why.
async fn reads(metrics_port: &str) -> Reads {
    let scrape = scrape(metrics_port).await.expect("the process responds");
    let value = |from: ReadFrom| {
        let series = format!("psp_database_reads_total{{server=\"{}\"}}", from.as_str());
        (from.as_str(), scrape.value(&series).unwrap_or_default())
    };
    ReadFrom::ALL.map(value).into()
}

async fn answer(web: &Web, path: &str) -> String {
    let response = web.request(Method::GET, path, Some(ADMIN), None).await.expect("the web process responds");
    assert_eq!(response.status, 200, "{path}: {}", response.text);
    without_link_times(&response.text)
}

/// Links name the second in which they were made.
fn without_link_times(text: &str) -> String {
    let mut parts = text.split("as_of=");
    let first = parts.next().unwrap_or_default();
    let others =
        parts.map(|part| part.trim_start_matches(|letter: char| letter.is_ascii_digit() || "-:TZ".contains(letter)));
    [first].into_iter().chain(others).collect::<Vec<_>>().join("as_of=")
}

/// Questions about a range of days that no process has been asked about, so that no cache answers.
fn new_questions() -> [String; 8] {
    static ASKED: AtomicU64 = AtomicU64::new(10);
    let from = SystemClock.now().date_naive() - Days::new(10 + ASKED.fetch_add(1, Ordering::SeqCst) % 300);
    [
        "transactions?limit=50&sort_by=amount",
        "transactions?limit=20&search=example",
        "transactions?limit=20&status=failed",
        "metrics/overview?timezone=UTC",
        "metrics/overview?timezone=Asia/Kolkata&count=payments",
        "metrics/by-country?timezone=UTC",
        "metrics/trends?timezone=Asia/Kolkata&granularity=day",
        "export/transactions?format=csv",
    ]
    .map(|path| format!("/api/v1/{path}&from_date={from}"))
}

#[tokio::test]
async fn replica_that_is_behind_answers_nothing_that_it_does_not_have() {
    let replicated = Replicated::start().await;
    let web = replicated.start_web().await;
    replicated.assert_same_answers(&web).await;
    assert!(web.reads(ReadFrom::Replica).await > 0.0 && web.reads(ReadFrom::PrimaryAsBehind).await == 0.0);

    replicated.replica().set("recovery_min_apply_delay = '1h'").await;
    replicated.store_new_payments().await;
    replicated.assert_same_answers(&web).await;
    assert!(replicated.replayed().await < replicated.stored().await, "the replica is behind");
    assert!(web.reads(ReadFrom::PrimaryAsBehind).await > 0.0);
    // The days before those of the new payments have not changed, so the replica still answers for them.
    let before = web.reads(ReadFrom::Replica).await;
    let until = SystemClock.now().date_naive() - Days::new(5);
    let question =
        format!("/api/v1/metrics/overview?timezone=UTC&from_date={}&to_date={until}", until - Days::new(200));
    assert_eq!(answer(&web.web, &question).await, answer(&replicated.plain, &question).await);
    assert!(web.reads(ReadFrom::Replica).await > before);

    replicated.replica().set("recovery_min_apply_delay = 0").await;
    replicated.wait_until_replayed().await;
    replicated.wait_for_replica_reads(&web).await;
}

#[tokio::test]
async fn replica_that_stops_dies_or_hangs_fails_no_request() {
    let replicated = Replicated::start().await;
    let (web, replica) = (replicated.start_web().await, replicated.replica());
    replicated.wait_for_replica_reads(&web).await;
    for outage in ["stop", "kill", "freeze"] {
        let before = web.reads(ReadFrom::PrimaryAsFailing).await;
        match outage {
            "stop" => replica.stop().await,
            "kill" => replica.kill(),
            _ => replica.freeze(),
        }
        replicated.store_new_payments().await;
        replicated.assert_same_answers(&web).await;
        assert!(web.reads(ReadFrom::PrimaryAsFailing).await > before, "{outage}");
        if outage == "freeze" {
            replica.unfreeze();
        } else {
            replica.restart().await;
        }
        replicated.wait_until_replayed().await;
        replicated.wait_for_replica_reads(&web).await;
    }
}

#[tokio::test]
async fn promoted_replica_is_not_read() {
    let replicated = Replicated::start().await;
    let web = replicated.start_web().await;
    replicated.wait_for_replica_reads(&web).await;
    replicated.replica().promote().await;
    replicated.store_new_payments().await;
    replicated.assert_same_answers(&web).await;
    assert!(web.reads(ReadFrom::PrimaryAsFailing).await > 0.0);
    assert!(web.web.program.output().contains("it was promoted"), "{}", web.web.program.output());
}

/// Two processes that read from a replica, and one that does not, are asked in turn while payments arrive.
#[tokio::test]
async fn counts_never_decrease_across_processes_while_payments_arrive() {
    let replicated = Replicated::start().await;
    replicated.replica().set("recovery_min_apply_delay = '150ms'").await;
    let webs = [replicated.start_web().await, replicated.start_web().await];
    let first = replicated.stored().await;
    let storing = async {
        for _ in 0..8 {
            replicated.system.sandbox.create_and_change(10, 5).await;
            let job = replicated.system.enqueue("sync-vima", None);
            eventually("the sync to end", || async {
                (replicated.system.job_state(job).await == "succeeded").then_some(())
            })
            .await;
        }
    };
    let asking = async {
        let mut largest = 0;
        let overview =
            format!("/api/v1/metrics/overview?from_date={}", SystemClock.now().date_naive() - Days::new(200));
        for path in ["/api/v1/transactions?limit=1", &overview].iter().cycle() {
            for web in [&webs[0].web, &replicated.plain, &webs[1].web] {
                let response = web.get(path).await;
                let count = response["total_count"].as_i64().or_else(|| response["total"].as_i64()).expect("a count");
                assert!(count >= largest, "{count} after {largest}: {path}");
                largest = count;
            }
        }
    };
    tokio::select! {
        () = storing => {},
        () = asking => {},
    }
    assert!(replicated.stored().await > first);
    for web in &webs {
        assert!(web.reads(ReadFrom::Replica).await > 0.0 && web.reads(ReadFrom::PrimaryAsBehind).await > 0.0);
    }
}

#[tokio::test]
async fn ordered_export_is_read_from_a_replica_that_has_everything() {
    let replicated = Replicated::start().await;
    let worker_reads = async |from: ReadFrom| reads(&replicated.worker_metrics).await[from.as_str()];
    let export = async || {
        let export = create_export(&replicated.plain, ADMIN, "format=csv").await;
        let export = wait_for_export(&replicated.plain, &export, SOON * 3).await;
        let file = answer(&replicated.plain, export["download"].as_str().expect("a path")).await;
        csv_rows(file.as_bytes()).len()
    };
    assert_eq!(i64::try_from(export().await).ok(), Some(replicated.stored().await));
    assert!(worker_reads(ReadFrom::Replica).await > 0.0, "{:?}", reads(&replicated.worker_metrics).await);
    replicated.replica().set("recovery_min_apply_delay = '1h'").await;
    replicated.store_new_payments().await;
    assert_eq!(i64::try_from(export().await).ok(), Some(replicated.stored().await));
    assert!(worker_reads(ReadFrom::PrimaryAsBehind).await > 0.0);
    assert!(replicated.worker.output().contains("attempt ended"));
}

#[tokio::test]
async fn addresses_without_a_replica_prevent_no_start() {
    let replicated = Replicated::start().await;
    let primary = replicated.system.servers.web_url();
    let unreachable = replicated.replica().url_of(&primary).replace("127.0.0.1", "127.0.0.2");
    let other = PrivatePostgres::start_with_replica().await;
    let of_other = other.replica().url_of(&Servers::with_postgres(&other).await.database_url);
    for (read_url, from, reported) in [
        (unreachable.as_str(), ReadFrom::PrimaryAsFailing, "is not read"),
        (&primary, ReadFrom::PrimaryAsFailing, "DATABASE_READ_URL names a primary"),
        (&of_other, ReadFrom::PrimaryAsFailing, "it is no replica of the one of DATABASE_URL"),
        ("", ReadFrom::PrimaryOnly, ""),
    ] {
        let web = replicated.start_web_at(read_url).await;
        replicated.assert_same_answers(&web).await;
        assert!(web.reads(from).await > 0.0, "{read_url}");
        assert_eq!(web.reads(ReadFrom::Replica).await.to_bits(), 0);
        replicated.assert_check_reports(read_url, reported);
    }
    let both = format!("{unreachable}, {}", replicated.replica().url_of(&primary));
    let web = replicated.start_web_at(&both).await;
    replicated.wait_for_replica_reads(&web).await;
    replicated.assert_check_reports(&both, "follows the primary and has every payment");

    let mut settings = replicated.system.settings();
    settings.push(("DATABASE_READ_URL", "mysql://made-up".to_owned()));
    let refused = run(Program::Psp, &["web"], settings);
    assert!(!refused.status.success() && refused.stderr.contains("DATABASE_READ_URL"), "{refused:?}");
    assert!(!refused.stderr.contains("made-up"), "{refused:?}");
}
