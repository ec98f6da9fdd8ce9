//! The schedule is shown as schedulers report it.

use chrono::TimeDelta;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::jobs::schedule_entries;
use psp_dashboard::db::jobs::schedule_entries::ScheduleEntry;
use psp_dashboard::domain::job::SYNC_VIMA;
use psp_dashboard::operations::enqueue_job::{TickOutcome, enqueue_tick};
use serde_json::{Value, json};

use super::{JobsApi, incremental};
use crate::harness::eventually;

#[tokio::test]
async fn schedule_shows_the_entries_of_schedulers_with_their_last_ticks() {
    let api = JobsApi::start().await;
    let entry = |name: &str, expression: &str| ScheduleEntry {
        name: name.to_owned(),
        kind: SYNC_VIMA.name.to_owned(),
        expression: expression.to_owned(),
        timezone: "UTC".to_owned(),
        next_tick_at: Some("2026-01-15T10:01:00Z".parse().expect("a time")),
    };
    let pool = &api.system.pool;
    let upsert = async |entries: &[ScheduleEntry]| {
        schedule_entries::upsert_all(pool, entries).await.expect("the jobs table accepts them");
    };
    upsert(&[entry("gone", "every 60 s"), entry("vima", "every 30 s")]).await;
    sqlx::query!("UPDATE schedules SET seen_at = now() - interval '25 hours'").execute(pool).await.expect("a response");
    upsert(&[entry("vima", "every 60 s"), entry("nightly", "0 0 3 * * *")]).await;
    assert_eq!(
        api.system.number("SELECT count(*) FROM schedules").await,
        2,
        "entries that no scheduler reports for a day are removed"
    );
    let tick = "2026-01-15T10:00:00Z".parse().expect("a time");
    let ticked =
        enqueue_tick(pool, &api.redis, "vima", tick, incremental()).await.expect("the jobs table accepts them");
    let TickOutcome::Enqueued(ticked) = ticked else { panic!("the tick is new: {ticked:?}") };
    // A scheduler whose clock was a day ahead has recorded this one.
    let future = SystemClock.now() + TimeDelta::days(1);
    enqueue_tick(pool, &api.redis, "vima", future, incremental()).await.expect("the jobs table accepts it");
    let schedule = api.web.get("/api/v1/schedule").await;
    let expected = json!({
        "name": "vima", "kind": "sync-vima", "expression": "every 60 s", "timezone": "UTC",
        "last_tick_at": "2026-01-15T10:00:00Z", "last_job_id": ticked.job_id, "last_outcome": "queued",
        "last_finished_at": null, "next_tick_at": "2026-01-15T10:01:00Z",
    });
    assert_eq!(schedule["items"][1], expected);
    let without_tick = &schedule["items"][0];
    let values = ["name", "last_tick_at", "last_job_id", "last_outcome"].map(|field| without_tick[field].clone());
    assert_eq!(values, [json!("nightly"), Value::Null, Value::Null, Value::Null]);
    sqlx::query!("DELETE FROM jobs").execute(pool).await.expect("the jobs table responds");
    let pruned = api.web.get("/api/v1/schedule").await["items"][1].clone();
    assert_eq!((&pruned["last_job_id"], &pruned["last_outcome"]), (&json!(ticked.job_id), &Value::Null));
}

#[tokio::test]
async fn schedule_of_a_running_scheduler_is_complete_and_sorted() {
    let api = JobsApi::start().await;
    let _worker_and_scheduler = api.system.start_jobs(&["worker", "--scheduler"]);
    let entries = eventually("a scheduled sync to succeed", || async {
        let entries = api.web.get("/api/v1/schedule").await["items"].clone();
        let succeeded = |entry: &Value| entry["name"] == "sync-vima" && entry["last_outcome"] == "succeeded";
        entries.as_array().is_some_and(|entries| entries.iter().any(succeeded)).then_some(entries)
    })
    .await;
    for entry in entries.as_array().expect("items") {
        for field in ["kind", "expression", "timezone", "next_tick_at"] {
            assert!(entry[field].is_string(), "{field} of {entry}");
        }
    }
    let names = entries.as_array().expect("items").iter().filter_map(|entry| entry["name"].as_str());
    assert!(names.collect::<Vec<_>>().is_sorted(), "{entries}");
}
