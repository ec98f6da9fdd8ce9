//! The processes: one, several of a kind, stopped, and without their servers.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::eventually;
use crate::harness::test_system::TestSystem;

#[tokio::test]
async fn two_processes_of_each_kind_duplicate_no_work() {
    let system = TestSystem::start(&["--live-per-second", "5"]).await;
    let often = [("VIMA_SYNC_INTERVAL_SECONDS", "1"), ("PAYSHACK_SYNC_INTERVAL_SECONDS", "2")];
    let programs: Vec<_> = ["worker", "worker", "scheduler", "scheduler"]
        .into_iter()
        .map(|command| system.start_jobs_with(&[command], &often))
        .collect();
    eventually("ten ticks of Vima to have been run", || async {
        let ticks = system.number("SELECT count(*) FROM schedule_ticks WHERE schedule = 'sync-vima'").await;
        (ticks >= 10).then_some(())
    })
    .await;
    let overlapping = system
        .number(
            "SELECT count(*) FROM job_attempts a JOIN jobs ja ON ja.id = a.job_id
               JOIN job_attempts b ON a.job_id < b.job_id JOIN jobs jb ON jb.id = b.job_id AND jb.limit_key = ja.limit_key
              WHERE a.finished_at IS NOT NULL AND b.finished_at IS NOT NULL
                -- A claim that waited for the end of the other job has the time at which its statement began.
                AND least(a.finished_at, b.finished_at) - greatest(a.started_at, b.started_at) > interval '100 ms'",
        )
        .await;
    assert_eq!(overlapping, 0, "two syncs of one lane at a time");
    assert_eq!(system.number("SELECT count(*) FROM job_attempts WHERE attempt > 1").await, 0);
    // Without those that the job of a tick enqueues: history days, days of a nightly reconciliation.
    let jobs = system.number("SELECT count(*) FROM jobs WHERE scheduled_for IS NOT NULL").await;
    let ticks = system.number("SELECT count(*) FROM schedule_ticks").await;
    assert!(jobs <= ticks, "{jobs} jobs of {ticks} ticks: a tick is at most one job");
    for mut program in programs {
        program.signal(Signal::SIGTERM);
        assert_eq!(program.wait_for_exit(Duration::from_secs(10)).await.code(), Some(0), "{}", program.output());
    }
    assert_eq!(system.number("SELECT count(*) FROM processes").await, 0, "everybody has said goodbye");
}

#[tokio::test]
async fn worker_with_scheduler_runs_in_one_process() {
    let system = TestSystem::start(&[]).await;
    let mut both = system.start_jobs(&["worker", "--scheduler"]);
    eventually("both sources to be synced", || async {
        let done = system.number("SELECT count(DISTINCT source) FROM sync_runs WHERE status = 'succeeded'").await;
        (done == 2).then_some(())
    })
    .await;
    both.signal(Signal::SIGTERM);
    assert_eq!(both.wait_for_exit(Duration::from_secs(10)).await.code(), Some(0), "{}", both.output());
}

#[tokio::test]
async fn every_process_stops_within_its_grace_period() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let worker = system.start_jobs(&["worker"]);
    let scheduler = system.start_jobs(&["scheduler"]);
    eventually("worker and scheduler to be alive", || async {
        (system.number("SELECT count(*) FROM processes").await == 2).then_some(())
    })
    .await;
    for mut program in [web.program, worker, scheduler] {
        program.signal(Signal::SIGTERM);
        assert_eq!(program.wait_for_exit(Duration::from_secs(10)).await.code(), Some(0), "{}", program.output());
    }
}
