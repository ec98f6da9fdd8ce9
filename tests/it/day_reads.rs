//! Days that are read again, or for the first time: newest first, from where an attempt was interrupted, beside what is new,
//! and stopped at the border of a page.

use chrono::Days;
use psp_dashboard::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::eventually;
use crate::harness::test_system::{OPERATOR, TestSystem, Web};

const PAYINS: &str = "/payshack/indigate-payin-svc/api/v1/payin/transaction/fetch";
const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);

/// Whatever the hour, what is new takes a few rounds of requests, and fifty payments that are asked for again; the old days
/// take many times as many, so whoever waits for them is not done before them.
#[tokio::test]
async fn what_is_new_never_waits_for_old_days() {
    let system = TestSystem::start(&["--history-days", "20", "--per-day", "1000", "--fault", "latency-ms=300"]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("PAYSHACK_OVERLAP_DAYS", "0"), ("INITIAL_SYNC_DAYS", "20")]);
    for source in ["vima", "payshack"] {
        let kind = format!("sync-{source}");
        let full = system.enqueue(&kind, FULL);
        eventually("the old days to be read", || async { (system.job_state(full).await == "running").then_some(()) })
            .await;
        system.run_job(&kind, None);
        assert_eq!(system.job_state(full).await, "running", "{source}: the live sync has waited");
        let cancelled = sqlx::query!("UPDATE jobs SET cancel_requested_at = now(), cancel_requested_by = 'test'");
        cancelled.execute(&system.pool).await.expect("the jobs table answers");
    }
}

#[tokio::test]
async fn the_first_run_follows_what_is_new_and_the_days_before_come_newest_first() {
    let system = TestSystem::start(&["--per-day", "300", "--fault", "latency-ms=100"]).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs(&["worker"]);
    let ended = system.try_run_job("sync-vima", None);
    let result: Value = serde_json::from_str(ended.stdout.lines().last().expect("a result")).expect("JSON");
    assert!(result["history_job_id"].is_string(), "{result}");
    let walked = "SELECT sum(records_seen)::bigint FROM sync_runs WHERE mode = 'incremental'";
    assert_eq!(system.number(walked).await, 0, "the first run walks no past");
    let shown = web.get("/api/v1/metrics/overview").await["data_as_of"]["vima"].clone();
    let owed = system.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await > 0;
    assert!(shown.is_null() || !owed, "what is owed is not there yet, and {shown} is told");
    system.wait_until_idle().await;
    let asked = system.sandbox.get("requests?last=1000").await;
    let dates: Vec<&str> = asked["recent"]
        .as_array()
        .expect("requests")
        .iter()
        .filter_map(|asked| asked["query"].as_str()?.split("date=").nth(1)?.get(..10))
        .collect();
    assert!(dates.len() > 5 && dates.iter().rev().is_sorted(), "{dates:?}");
    assert!(web.get("/api/v1/metrics/overview").await["data_as_of"]["vima"].is_string());
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}

#[tokio::test]
async fn a_job_that_reads_days_goes_on_where_its_worker_was_killed() {
    let system = TestSystem::start(&["--history-days", "4", "--per-day", "500", "--fault", "latency-ms=25"]).await;
    for source in ["vima", "payshack"] {
        let mut worker = system.start_jobs(&["worker"]);
        let full = system.enqueue(&format!("sync-{source}"), FULL);
        let place = eventually("some days to be read", || async {
            let place = sqlx::query_scalar!("SELECT checkpoint FROM jobs WHERE id = $1", full);
            let place = place.fetch_one(&system.pool).await.expect("the job is there")?;
            (place["seen"].as_u64()? > 600).then_some(place)
        })
        .await;
        worker.kill();
        system.sandbox.send(Method::DELETE, "requests", None).await;
        let _heir = system.start_jobs(&["worker"]);
        system.wait_until_idle().await;
        let asked = system.sandbox.get("requests?last=1000").await.to_string();
        let day: chrono::NaiveDate = serde_json::from_value(place["day"].clone()).expect("a day");
        let done = day + chrono::Days::new(1);
        assert!(asked.contains(&day.to_string()), "{source}: goes on with {day}");
        assert!(!asked.contains(&done.to_string()), "{source}: {done} had been read");
        let progress = sqlx::query_scalar!(
            r#"SELECT (progress ->> 'progress')::bigint AS "progress!" FROM jobs WHERE id = $1"#,
            full
        );
        let progress = progress.fetch_one(&system.pool).await.expect("the job is there");
        assert!(
            progress >= system.count_transactions(source).await,
            "{source}: the progress goes on as well: {progress}"
        );
    }
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}

/// After an outage the window of a run is long; what was read of it counts although the run fails.
#[tokio::test]
async fn a_long_window_is_gone_on_with_where_it_was_interrupted() {
    let system = TestSystem::start(&["--history-days", "4", "--per-day", "400"]).await;
    let settings = [("PAYSHACK_OVERLAP_DAYS", "0")];
    let mut worker = system.start_jobs_with(&["worker"], &settings);
    system.sync_both().await;
    sqlx::query!("UPDATE sync_streams SET watermark = watermark - interval '4 days' WHERE source = 'payshack'")
        .execute(&system.pool)
        .await
        .expect("the watermark can be moved");
    system.sandbox.send(Method::PUT, "faults", Some(json!({"latency-ms": 150}))).await;
    let behind = async || {
        let days = "SELECT EXTRACT(DAY FROM now() - watermark)::bigint FROM sync_streams WHERE stream = 'payins'";
        system.number(days).await
    };
    let first_day = SystemClock.now().date_naive() - Days::new(4);
    system.enqueue("sync-payshack", None);
    eventually("two days of the window to be read", || async { (behind().await <= 2).then_some(()) }).await;
    worker.kill();
    system.sandbox.send(Method::PUT, "faults?reset=true", Some(json!({}))).await;
    system.sandbox.send(Method::DELETE, "requests", None).await;
    let _heir = system.start_jobs_with(&["worker"], &settings);
    system.wait_until_idle().await;
    let asked = system.sandbox.get("requests?last=1000").await;
    let again = format!("dateFrom={first_day}");
    let payins = asked["recent"].as_array().expect("requests").iter().filter(|asked| asked["path"] == PAYINS);
    let queries: Vec<&str> = payins.filter_map(|asked| asked["query"].as_str()).collect();
    assert!(queries.len() > 3 && queries.iter().all(|query| !query.contains(&again)), "{queries:?}");
    assert_matches_sandbox(&system).await;
}

#[tokio::test]
async fn a_sync_that_is_cancelled_ends_at_the_border_of_a_page() {
    let system = TestSystem::start(&["--per-day", "1500", "--fault", "latency-ms=30"]).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs(&["worker"]);
    for (source, job_id) in trigger_full(&web).await {
        let current = eventually("the sync to show how far it has come", || async {
            let status = web.get("/api/v1/sync/status").await;
            assert_ne!(status["overall_status"], "error", "{status}");
            let of = status["sources"].as_array()?.iter().find(|entry| entry["source"] == source.as_str())?.clone();
            (of["status"] == "running" && of["current"]["progress"].as_u64()? > 200).then_some(of["current"].clone())
        })
        .await;
        assert_eq!(current["job_id"], job_id, "{current}");
        let cancel = format!("/api/v1/jobs/{}/cancel", job_id.as_str().expect("an id"));
        let answer = web.post_with(&cancel, &[("x-api-key", OPERATOR)], "").await;
        assert_eq!(answer.status, 202, "{answer:?}");
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
        assert_eq!(
            system.count_transactions(&source).await,
            count("inserted"),
            "{source}: what was read is here: {run}"
        );
    }
}

async fn trigger_full(web: &Web) -> Vec<(String, Value)> {
    let headers = [("x-api-key", OPERATOR), ("content-type", "application/json")];
    let triggered = web.post_with("/api/v1/sync/trigger", &headers, r#"{"mode":"full"}"#).await;
    assert_eq!(triggered.status, 202, "{triggered:?}");
    let jobs = triggered.json()["jobs"].as_array().expect("jobs").clone();
    jobs.iter().map(|job| (job["source"].as_str().expect("a source").to_owned(), job["job_id"].clone())).collect()
}
