//! Days that are read again or for the first time: newest first, from where an attempt was interrupted, at the same time as
//! new data, and cancelled between two pages.

use chrono::Days;
use psp_dashboard::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::eventually;
use crate::harness::test_system::{OPERATOR, TestSystem, Web};

const PAYINS: &str = "/payshack/indigate-payin-svc/api/v1/payin/transaction/fetch";
const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);

/// At any time of day, reading new data takes a few rounds of requests and a recheck of fifty open payments. The historical
/// days take many times as long, so a sync of new data that waited for them would not finish before them.
#[tokio::test]
async fn sync_of_new_data_does_not_wait_for_historical_days() {
    let system = TestSystem::start(&["--history-days", "20", "--per-day", "1000", "--fault", "latency-ms=300"]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("PAYSHACK_OVERLAP_DAYS", "0"), ("INITIAL_SYNC_DAYS", "20")]);
    for source in ["vima", "payshack"] {
        let kind = format!("sync-{source}");
        let full = system.enqueue(&kind, FULL);
        eventually("the full sync to run", || async { (system.job_state(full).await == "running").then_some(()) })
            .await;
        system.run_job(&kind, None);
        assert_eq!(system.job_state(full).await, "running", "{source}: the sync of new data has waited");
        let cancelled = sqlx::query!("UPDATE jobs SET cancel_requested_at = now(), cancel_requested_by = 'test'");
        cancelled.execute(&system.pool).await.expect("the jobs table responds");
    }
}

#[tokio::test]
async fn first_run_reads_new_data_and_then_historical_days_newest_first() {
    let system = TestSystem::start(&["--per-day", "300", "--fault", "latency-ms=100"]).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs(&["worker"]);
    let output = system.try_run_job("sync-vima", None);
    let result: Value = serde_json::from_str(output.stdout.lines().last().expect("a result")).expect("JSON");
    assert!(result["history_job_id"].is_string(), "{result}");
    let seen = "SELECT sum(records_seen)::bigint FROM sync_runs WHERE mode = 'incremental'";
    assert_eq!(system.number(seen).await, 0, "the first run reads no historical day");
    let data_as_of = web.get("/api/v1/metrics/overview").await["data_as_of"]["vima"].clone();
    let history_is_incomplete = system.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await > 0;
    assert!(data_as_of.is_null() || !history_is_incomplete, "data_as_of is {data_as_of}, and days are missing");
    system.wait_until_idle().await;
    let requests = system.sandbox.last_requests(1000).await;
    let dates: Vec<&str> =
        requests.iter().filter_map(|request| request["query"].as_str()?.split("date=").nth(1)?.get(..10)).collect();
    assert!(dates.len() > 5 && dates.iter().rev().is_sorted(), "{dates:?}");
    assert!(web.get("/api/v1/metrics/overview").await["data_as_of"]["vima"].is_string());
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}

#[tokio::test]
async fn full_sync_resumes_at_the_day_where_its_worker_was_killed() {
    let system = TestSystem::start(&["--history-days", "4", "--per-day", "500", "--fault", "latency-ms=25"]).await;
    for source in ["vima", "payshack"] {
        let mut worker = system.start_jobs(&["worker"]);
        let full = system.enqueue(&format!("sync-{source}"), FULL);
        let checkpoint = eventually("some days to be read", || async {
            let checkpoint = sqlx::query_scalar!("SELECT checkpoint FROM jobs WHERE id = $1", full);
            let checkpoint = checkpoint.fetch_one(&system.pool).await.expect("the job exists")?;
            (checkpoint["seen"].as_u64()? > 600).then_some(checkpoint)
        })
        .await;
        worker.kill();
        system.sandbox.clear_requests().await;
        let _successor = system.start_jobs(&["worker"]);
        system.wait_until_idle().await;
        let requests = system.sandbox.get("requests?last=1000").await.to_string();
        let day: chrono::NaiveDate = serde_json::from_value(checkpoint["day"].clone()).expect("a day");
        let finished_day = day + Days::new(1);
        assert!(requests.contains(&day.to_string()), "{source}: resumes with {day}");
        assert!(!requests.contains(&finished_day.to_string()), "{source}: {finished_day} was read again");
        let progress = sqlx::query_scalar!(
            r#"SELECT (progress ->> 'progress')::bigint AS "progress!" FROM jobs WHERE id = $1"#,
            full
        );
        let progress = progress.fetch_one(&system.pool).await.expect("the job exists");
        assert!(
            progress >= system.count_transactions(source).await,
            "{source}: the progress includes the first attempt: {progress}"
        );
    }
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}

/// After an outage a run covers a long window. What it has read counts even if the run fails.
#[tokio::test]
async fn sync_of_a_long_window_resumes_where_its_worker_was_killed() {
    let system = TestSystem::start(&["--history-days", "4", "--per-day", "400"]).await;
    let settings = [("PAYSHACK_OVERLAP_DAYS", "0")];
    let mut worker = system.start_jobs_with(&["worker"], &settings);
    system.sync_both().await;
    sqlx::query!("UPDATE sync_streams SET watermark = watermark - interval '4 days' WHERE source = 'payshack'")
        .execute(&system.pool)
        .await
        .expect("the watermarks are set back");
    system.sandbox.set_faults(json!({"latency-ms": 150})).await;
    let days_behind = async || {
        let days = "SELECT EXTRACT(DAY FROM now() - watermark)::bigint FROM sync_streams WHERE stream = 'payins'";
        system.number(days).await
    };
    let first_day = SystemClock.now().date_naive() - Days::new(4);
    system.enqueue("sync-payshack", None);
    eventually("two days of the window to be read", || async { (days_behind().await <= 2).then_some(()) }).await;
    worker.kill();
    system.sandbox.replace_faults(json!({})).await;
    system.sandbox.clear_requests().await;
    let _successor = system.start_jobs_with(&["worker"], &settings);
    system.wait_until_idle().await;
    let requests = system.sandbox.last_requests(1000).await;
    let first_day_again = format!("dateFrom={first_day}");
    let payins = requests.iter().filter(|request| request["path"] == PAYINS);
    let queries: Vec<&str> = payins.filter_map(|request| request["query"].as_str()).collect();
    assert!(queries.len() > 3 && queries.iter().all(|query| !query.contains(&first_day_again)), "{queries:?}");
    assert_matches_sandbox(&system).await;
}

#[tokio::test]
async fn cancelled_sync_stops_between_pages_and_its_counts_match_what_is_stored() {
    let system = TestSystem::start(&["--per-day", "1500", "--fault", "latency-ms=30"]).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs(&["worker"]);
    for (source, job_id) in trigger_full(&web).await {
        let current = eventually("the sync to report its progress", || async {
            let status = web.get("/api/v1/sync/status").await;
            assert_ne!(status["overall_status"], "error", "{status}");
            let entry = status["sources"].as_array()?.iter().find(|entry| entry["source"] == source.as_str())?.clone();
            let is_underway = entry["status"] == "running" && entry["current"]["progress"].as_u64()? > 200;
            is_underway.then_some(entry["current"].clone())
        })
        .await;
        assert_eq!(current["job_id"], job_id, "{current}");
        let cancel = format!("/api/v1/jobs/{}/cancel", job_id.as_str().expect("an id"));
        let response = web.post_with(&cancel, &[("x-api-key", OPERATOR)], "").await;
        assert_eq!(response.status, 202, "{response:?}");
        let run = eventually("the run to be cancelled", || async {
            let runs = web.get(&format!("/api/v1/sync/runs?source={source}")).await;
            runs["items"].as_array()?.iter().find(|run| run["status"] == "cancelled").cloned()
        })
        .await;
        let count = |name: &str| run[name].as_i64().expect(name);
        assert_eq!(
            count("records_seen"),
            ["inserted", "updated", "unchanged", "quarantined"].map(count).iter().sum::<i64>()
        );
        assert_eq!(system.count_transactions(&source).await, count("inserted"), "{source}: {run}");
    }
}

/// Triggers a full sync of both sources, and returns each source with its job id.
async fn trigger_full(web: &Web) -> Vec<(String, Value)> {
    let headers = [("x-api-key", OPERATOR), ("content-type", "application/json")];
    let response = web.post_with("/api/v1/sync/trigger", &headers, r#"{"mode":"full"}"#).await;
    assert_eq!(response.status, 202, "{response:?}");
    let jobs = response.json()["jobs"].as_array().expect("jobs").clone();
    jobs.iter().map(|job| (job["source"].as_str().expect("a source").to_owned(), job["job_id"].clone())).collect()
}
