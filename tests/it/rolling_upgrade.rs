//! Replaces the previous release by this one while both run, as a deployment does.
//!
//! Part of `make test-long`: `scripts/previous-release` builds the programs of the commit in `tests/upgrade/commit`, which
//! takes as long as a first build.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::database_roles;
use crate::harness::programs::{Program, RunningProgram, free_port, run};
use crate::harness::servers::Servers;
use crate::harness::test_system::{ADMIN, TestSystem, Web};
use crate::harness::{eventually_within, is_long};

const OFTEN: [(&str, &str); 3] = [
    ("VIMA_SYNC_INTERVAL_SECONDS", "1"),
    ("PAYSHACK_SYNC_INTERVAL_SECONDS", "1"),
    ("PAYSHACK_METADATA_SYNC_INTERVAL_SECONDS", "2"),
];
const SUCCEEDED: &str = "SELECT count(*) FROM jobs WHERE state = 'succeeded'";

/// The processes of a release.
struct Release {
    web: Web,
    jobs: Vec<RunningProgram>,
}

impl Release {
    async fn start(system: &TestSystem, psp: Program, jobs: Program) -> Self {
        let port = free_port();
        let often = || OFTEN.map(|(name, value)| (name, value.to_owned()));
        let listen =
            [("DATABASE_URL", system.servers.web_url()), ("HOST", "127.0.0.1".to_owned()), ("PORT", port.to_string())];
        let web = RunningProgram::start(psp, &["web"], system.settings().into_iter().chain(listen));
        let web = Web::at(web, port);
        web.wait_until_ready().await;
        let start =
            |command| RunningProgram::start(jobs, &[command], system.jobs_settings().into_iter().chain(often()));
        Self { web, jobs: ["worker", "worker", "scheduler"].into_iter().map(start).collect() }
    }

    async fn stop(self) {
        for mut program in self.jobs.into_iter().chain([self.web.program]) {
            program.signal(Signal::SIGTERM);
            let status = program.wait_for_exit(Duration::from_mins(1)).await;
            assert!(status.success(), "{}", program.output());
            assert!(!program.output().contains("\"level\":\"ERROR\""), "{}", program.output());
        }
    }
}

/// Requests that never fail, until `end`.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    client: JoinHandle<()>,
}

impl Load {
    fn start(url: String) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let client = tokio::spawn(async move {
            let http = crate::harness::http_client();
            let paths =
                ["/health", "/api/v1/transactions", "/api/v1/metrics/overview", "/api/v1/sync/status", "/api/v1/jobs"];
            for path in paths.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let response = http.get(format!("{url}{path}")).header("x-api-key", ADMIN).send().await;
                let status = response.unwrap_or_else(|error| panic!("{path}: {error}")).status();
                assert_eq!(status, 200, "{path}");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, answered, client }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.client.await.expect("no request failed");
        assert!(self.answered.load(Ordering::Relaxed) > 10, "there was no load");
    }
}

async fn wait_for_more_jobs(system: &TestSystem, number: i64) {
    let before = system.number(SUCCEEDED).await;
    eventually_within(Duration::from_mins(5), "more jobs to succeed", || async {
        (system.number(SUCCEEDED).await >= before + number).then_some(())
    })
    .await;
}

#[tokio::test]
async fn release_replaces_the_previous_one_without_an_error_or_a_lost_job() {
    if !is_long() {
        return;
    }
    let system =
        TestSystem::start_on(Servers::start_empty().await, &["--live-per-second", "5", "--history-days", "1"]).await;
    let migrated = run(Program::PreviousPsp, &["migrate"], system.settings());
    assert!(migrated.status.success(), "{migrated:?}");
    database_roles::create(&system.pool).await;
    let previous = Release::start(&system, Program::PreviousPsp, Program::PreviousJobs).await;
    let load = Load::start(previous.web.url(""));
    wait_for_more_jobs(&system, 10).await;

    let migrated = run(Program::Psp, &["migrate"], system.settings());
    assert!(migrated.status.success(), "{migrated:?}");
    wait_for_more_jobs(&system, 10).await;
    let next = Release::start(&system, Program::Psp, Program::Jobs).await;
    let load_of_next = Load::start(next.web.url(""));
    wait_for_more_jobs(&system, 20).await;
    load.end().await;
    previous.stop().await;
    wait_for_more_jobs(&system, 10).await;

    // And back: the previous release runs with the migrations of this one.
    let previous = Release::start(&system, Program::PreviousPsp, Program::PreviousJobs).await;
    load_of_next.end().await;
    next.stop().await;
    wait_for_more_jobs(&system, 10).await;
    system.sandbox.send(Method::PUT, "live", Some(json!({"per_second": 0}))).await;
    wait_for_more_jobs(&system, 10).await;
    previous.stop().await;

    let worker = system.start_jobs(&["worker"]);
    eventually_within(Duration::from_mins(10), "the last jobs to end", || async {
        (system.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await == 0).then_some(())
    })
    .await;
    system.wait_until_idle().await;
    drop(worker);
    assert_matches_sandbox(&system).await;
    system.assert_no_attempt_was_used_up().await;
    let lost = "SELECT count(*) FROM schedule_ticks WHERE NOT EXISTS (SELECT FROM jobs WHERE id = job_id)";
    assert_eq!(system.number(lost).await, 0, "every tick has a job");
}
