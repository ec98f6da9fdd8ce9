//! Each time of a schedule becomes one run, whichever process dies, and however many there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::operations::reports::plan::{PlanReport, ReportPlanner};
use psp_dashboard::redis::Redis;
use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::harness::eventually;
use crate::harness::test_system::{ADMIN, OPERATOR};

async fn plan(fixture: &Fixture, redis: &Redis, now: DateTime<Utc>) -> PlanReport {
    let claim = fixture.claim(redis).await;
    let planner = ReportPlanner { pool: &fixture.system.pool, redis };
    planner.plan(&claim, now).await.expect("the claim is valid")
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("a time: {value}"))
}

#[tokio::test]
async fn concurrent_planners_enqueue_each_time_once() {
    let fixture = Fixture::start(&[]).await;
    let redis = Arc::new(fixture.system.servers.redis().await);
    let (hourly, daily) = (json!({"cron": "0 * * * *"}), json!({"cron": "30 2 * * *", "timezone": "Europe/Berlin"}));
    let mut paths = vec![];
    for mut schedule in [hourly, daily] {
        schedule["destination"] = json!("object_store");
        schedule["folder"] = json!("a");
        paths.push(fixture.create(OPERATOR, schedule).await);
    }
    let next: Vec<DateTime<Utc>> = {
        let mut next = vec![];
        for path in &paths {
            next.push(time(&fixture.web.get(path).await["next_run_at"]));
        }
        next
    };
    let now = SystemClock.now();
    assert!(next.iter().all(|next| *next > now), "{next:?}");
    assert_eq!(plan(&fixture, &redis, now).await, PlanReport::default(), "no time has come");

    // Two days later, four at the same time: the last seven hours, and the nights.
    let later = next[0] + TimeDelta::hours(48) + TimeDelta::minutes(1);
    let planners = [0; 4].map(|_| plan(&fixture, &redis, later));
    let enqueued: u64 = futures_util::future::join_all(planners).await.iter().map(|report| report.enqueued).sum();
    assert_eq!(enqueued, 7 + fixture.runs(&paths[1]).await.len() as u64);
    assert!((8..=10).contains(&enqueued), "{enqueued}");
    assert_eq!(plan(&fixture, &redis, later).await.enqueued, 0, "each once");
    let runs = fixture.runs(&paths[0]).await;
    let times: BTreeSet<DateTime<Utc>> = runs.iter().map(|run| time(&run["due_at"])).collect();
    let expected: BTreeSet<_> = (0..7).map(|hours| next[0] + TimeDelta::hours(48 - hours)).collect();
    assert_eq!((runs.len(), times), (7, expected));
    assert!(runs.iter().all(|run| run["requested_by"].is_null() && run["state"] == "pending"), "{runs:?}");
    let jobs = "SELECT count(*) FROM jobs WHERE kind = 'deliver-report'";
    assert_eq!(fixture.system.number(jobs).await.unsigned_abs(), enqueued);
    let next_run = time(&fixture.web.get(&paths[0]).await["next_run_at"]);
    assert_eq!(next_run, next[0] + TimeDelta::hours(49));

    // A clock that was set back: nothing is sent again.
    fixture
        .execute("UPDATE report_schedules SET next_run_at = next_run_at - interval '3 hours' WHERE cron = '0 * * * *'")
        .await;
    assert_eq!(plan(&fixture, &redis, later).await.enqueued, 0);
    // A schedule of a newer release waits for it, and does not stop the others.
    fixture
        .execute(
            "INSERT INTO report_schedules (id, name, kind, language, cron, timezone, destination, folder, enabled, next_run_at,
                                           owner_key, owner, role, created_at, updated_at)
             VALUES (gen_random_uuid(), 'new', 'digest', 'en', '@newer', 'UTC', 'object_store', 'a', true, '2020-01-01Z',
                     gen_random_uuid(), 'ada', 'admin', now(), now())",
        )
        .await;
    plan(&fixture, &redis, later + TimeDelta::hours(1)).await;
    assert_eq!(fixture.runs(&paths[0]).await.len(), 8, "the next hour");
    fixture.execute("DELETE FROM report_schedules WHERE cron = '@newer'").await;

    // A change of its times starts from now; one that is disabled runs no more, except by hand.
    let changed = fixture.ok(OPERATOR, Method::PATCH, &paths[0], &json!({"enabled": false})).await;
    assert!(changed["next_run_at"].is_null(), "{changed}");
    let (first, second) = (fixture.request_run(&paths[0]).await, fixture.request_run(&paths[0]).await);
    assert!(first["id"] != second["id"] && first["requested_by"] == "otto", "{first} {second}");
    let changed = fixture.ok(OPERATOR, Method::PATCH, &paths[0], &json!({"enabled": true})).await;
    assert!(time(&changed["next_run_at"]) > SystemClock.now(), "{changed}");
}

#[tokio::test]
async fn killed_schedulers_and_workers_send_a_report_once() {
    let fixture = Fixture::start(&[]).await;
    let webhook_id = fixture.create_webhook().await;
    // Once a year, a few minutes ago.
    let due_at = SystemClock.now() - TimeDelta::minutes(3);
    let cron = due_at.format("%-M %-H %-d %-m *").to_string();
    let path =
        fixture.create(OPERATOR, json!({"destination": "webhook", "webhook_id": webhook_id, "cron": cron})).await;
    fixture
        .execute("UPDATE report_schedules SET next_run_at = date_trunc('minute', now() - interval '4 minutes')")
        .await;
    let mut schedulers = [fixture.start_jobs(&["scheduler"]), fixture.start_jobs(&["scheduler"])];
    let mut worker = fixture.start_jobs(&["worker", "--queues", "reports,webhooks"]);
    eventually("the run to be enqueued", || async { (!fixture.runs(&path).await.is_empty()).then_some(()) }).await;
    worker.kill();
    schedulers[0].kill();
    let _others = [
        fixture.start_jobs(&["worker", "--scheduler", "--queues", "reports,webhooks"]),
        fixture.start_jobs(&["worker", "--queues", "reports,webhooks"]),
    ];
    let runs = fixture.runs(&path).await;
    let run = fixture.wait_for(&path, runs.last().expect("a run"), "delivered").await;
    fixture.receiver.wait_for(1).await;
    // Whoever looks again finds nothing to do.
    fixture.system.run_job("run-report-schedules", None);
    eventually("the reports to be finished", || async {
        let unfinished = "SELECT count(*) FROM jobs WHERE queue IN ('reports', 'webhooks') AND finished_at IS NULL";
        (fixture.system.number(unfinished).await == 0).then_some(())
    })
    .await;
    let messages = fixture.receiver.accepted_once();
    assert_eq!((messages.len(), &messages[0].json()["data"]["run_id"]), (1, &run["id"]));
    assert_eq!(fixture.runs(&path).await.len(), 1);
    let removed = fixture.ok(ADMIN, Method::DELETE, &path, &Value::Null).await;
    assert_eq!(removed["name"], "a report");
    assert_eq!(fixture.system.number("SELECT count(*) FROM report_runs").await, 0);
}
