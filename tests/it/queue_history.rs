//! The history of the queues: every minute once, whichever processes run, and exact although jobs end late.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures_util::future::join_all;
use psp_dashboard::db::jobs::queue_minutes::{self, FinishedJobs, QueueBucket, QueueHistory};
use psp_dashboard::domain::retention::QUEUE_HISTORY_AGE;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::harness::eventually;
use crate::harness::servers::{Servers, number};
use crate::harness::test_system::TestSystem;

const KNOWN: [&str; 2] = ["export", "sync"];

async fn record(pool: &PgPool) {
    queue_minutes::record(pool, &KNOWN, QUEUE_HISTORY_AGE).await.expect("the jobs table responds");
}

/// Records again, as in a later minute.
async fn record_again(pool: &PgPool) {
    pool.execute("DELETE FROM queue_minutes WHERE minute = date_trunc('minute', now())").await.expect("a response");
    record(pool).await;
}

/// Inserts a job that ended so many seconds after the start of the minute, with its attempts.
async fn insert_job(pool: &PgPool, minute: DateTime<Utc>, second: u32, state: &str, run_seconds: u32) {
    let statement = format!(
        "WITH job AS (
             INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at, epoch)
             VALUES (gen_random_uuid(), 'sync-vima', '{{}}', 'sync', 10, '{state}', 'api', now(), 1, now(),
                     timestamptz '{minute}' + interval '{second} seconds', 2)
             RETURNING id, finished_at)
         INSERT INTO job_attempts (job_id, epoch, attempt, worker, started_at, finished_at, outcome)
         SELECT id, epoch, 1, 'w', finished_at - seconds * interval '1 second', finished_at, 'failed'
           FROM job, (VALUES (1, 1000), (2, {run_seconds})) AS attempt (epoch, seconds)"
    );
    pool.execute(AssertSqlSafe(statement)).await.expect("the jobs table responds");
}

/// An earlier minute in which a process sampled the queue `sync`.
async fn insert_sample(pool: &PgPool, minutes_ago: i64) -> DateTime<Utc> {
    let now = number(pool, "SELECT extract(epoch FROM date_trunc('minute', now()))::bigint").await;
    let minute = DateTime::from_timestamp(now - 60 * minutes_ago, 0).expect("a time");
    let statement = format!(
        "INSERT INTO queue_minutes (minute, queue, queued, scheduled, running, retrying) VALUES ('{minute}', 'sync', 3, 0, 1, 0)"
    );
    pool.execute(AssertSqlSafe(statement)).await.expect("the jobs table responds");
    minute
}

async fn list(pool: &PgPool, from: DateTime<Utc>, minutes: i64, step: Duration) -> Vec<QueueBucket> {
    let history = QueueHistory { from, until: from + TimeDelta::minutes(minutes), step, queues: vec!["sync"] };
    queue_minutes::list(pool, &history).await.expect("the jobs table responds")
}

fn finished(finished: u64, failed: u64, run_seconds: u64, longest_run: Option<u64>) -> FinishedJobs {
    let [run_time, longest] = [run_seconds, longest_run.unwrap_or_default()].map(Duration::from_secs);
    FinishedJobs { finished, failed, run_time, longest_run: longest_run.map(|_| longest) }
}

#[tokio::test]
async fn concurrent_processes_record_a_minute_once() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let rounds = join_all((0..16).map(|_| record(&pool)));
    rounds.await;
    let minutes = number(&pool, "SELECT count(DISTINCT minute) FROM queue_minutes").await;
    assert!((1..=2).contains(&minutes), "a round may last from one minute to the next: {minutes}");
    let rows = number(&pool, "SELECT count(*) FROM queue_minutes WHERE queued = 0").await;
    assert_eq!(rows, 2 * minutes, "every known queue in every minute");
    assert_eq!(
        number(
            &pool,
            "SELECT count(*) FROM queue_minutes WHERE minute = date_trunc('minute', now()) AND finished IS NOT NULL"
        )
        .await,
        0,
        "the minute is not over"
    );
}

#[tokio::test]
async fn finished_jobs_are_counted_exactly_even_if_they_end_late() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let minute = insert_sample(&pool, 2).await;
    insert_job(&pool, minute, 0, "succeeded", 4).await;
    insert_job(&pool, minute, 59, "failed", 8).await;
    insert_job(&pool, minute, 60, "succeeded", 16).await;
    insert_job(&pool, minute, 30, "cancelled", 32).await;
    record(&pool).await;
    let of_minute = async || list(&pool, minute, 1, Duration::from_mins(1)).await[0].finished;
    assert_eq!(of_minute().await, Some(finished(2, 1, 12, Some(8))), "only the last attempt of each counts");
    // Its transaction began in the minute, and was committed after the count.
    insert_job(&pool, minute, 59, "succeeded", 2).await;
    record_again(&pool).await;
    assert_eq!(of_minute().await, Some(finished(3, 1, 14, Some(8))));
    record_again(&pool).await;
    assert_eq!(of_minute().await, Some(finished(3, 1, 14, Some(8))), "counting again changes nothing");
}

#[tokio::test]
async fn minutes_in_which_nothing_ran_are_missing_and_old_ones_are_deleted() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    insert_sample(&pool, 73 * 60).await;
    // The process died within this minute; nothing ran for an hour.
    let last = insert_sample(&pool, 60).await;
    insert_job(&pool, last, 30, "succeeded", 1).await;
    record(&pool).await;
    let recorded = list(&pool, last, 60, Duration::from_mins(1)).await;
    let [bucket] = &recorded[..] else { panic!("one minute: {recorded:?}") };
    assert_eq!((bucket.start, bucket.finished), (last, Some(finished(1, 0, 1, Some(1)))), "it is counted later");
    assert_eq!(bucket.depth.map(|depth| (depth.queued, depth.running)), Some((3, 1)));
    assert_eq!(number(&pool, "SELECT count(*) FROM queue_minutes WHERE minute < now() - interval '72 hours'").await, 0);
}

#[tokio::test]
async fn longer_buckets_have_sums_and_largest_depths() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let until = insert_sample(&pool, 1).await;
    let start = until.duration_trunc(TimeDelta::hours(1)).expect("an hour") - TimeDelta::hours(2);
    for (minute, depth, jobs) in [(0, 2, 5), (59, 7, 1), (60, 1, 1)] {
        let statement = format!(
            "INSERT INTO queue_minutes VALUES (timestamptz '{start}' + interval '{minute} minutes', 'sync', {depth}, 0, 0, 0,
                                               {jobs}, 1, 1000, 600)"
        );
        pool.execute(AssertSqlSafe(statement)).await.expect("the jobs table responds");
    }
    let hours = list(&pool, start, 120, Duration::from_hours(1)).await;
    let [first, second] = &hours[..] else { panic!("two hours: {hours:?}") };
    assert_eq!((first.start, first.depth.map(|depth| depth.queued)), (start, Some(7)));
    let sums = first.finished.expect("counts");
    assert_eq!((sums.finished, sums.failed, sums.run_time), (6, 2, Duration::from_secs(2)));
    assert_eq!(sums.longest_run, Some(Duration::from_millis(600)));
    assert_eq!(second.depth.map(|depth| depth.queued), Some(1));
}

#[tokio::test]
async fn history_is_recorded_by_workers_and_by_schedulers_and_returned() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let nothing = web.get("/api/v1/queues/history?queue=sync").await;
    assert!(
        nothing["queues"][0]["data"].as_array().is_some_and(|data| data.iter().all(|point| point["depth"].is_null()))
    );
    for arguments in [&["worker"][..], &["scheduler"]] {
        system.pool.execute("DELETE FROM queue_minutes").await.expect("the jobs table responds");
        let _process = system.start_jobs(arguments);
        eventually("the minute to be recorded", || async {
            (system.number("SELECT count(*) FROM queue_minutes WHERE queue = 'sync'").await > 0).then_some(())
        })
        .await;
    }
    system
        .pool
        .execute("UPDATE queue_minutes SET finished = 4, failed = 1, run_time = 6000, longest_run = 3500")
        .await
        .expect("a response");
    let history = web.get("/api/v1/queues/history?queue=sync,export&granularity=5min").await;
    assert_eq!((&history["granularity"], &history["queues"][0]["name"]), (&json!("5min"), &json!("export")));
    let data = history["queues"][1]["data"].as_array().expect("buckets");
    let recorded: Vec<_> = data.iter().filter(|point| !point["depth"].is_null()).collect();
    let point = recorded.first().expect("a bucket");
    assert_eq!((&point["mean_run_seconds"], &point["max_run_seconds"]), (&json!(1.5), &json!(3.5)), "{point}");
    assert!(data.len() > recorded.len() && data[0]["finished"].is_null(), "an hour has more: {history}");
}
