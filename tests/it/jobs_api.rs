//! Control by the API: jobs are listed, shown, cancelled and done again, queues are paused, and the schedule is shown.

use psp_dashboard::db::jobs::schedule_entries;
use psp_dashboard::db::jobs::schedule_entries::ScheduleEntry;
use psp_dashboard::domain::job::{HOUSEKEEPING, JobId, NewJob, SYNC_VIMA, Trigger};
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::enqueue_job::{Ticked, enqueue_job, enqueue_tick};
use psp_dashboard::redis::Redis;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::programs::{Program, RunningProgram};
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, VIEWER, Web};

/// An installation with a web process, and no worker yet.
struct JobsApi {
    system: TestSystem,
    web: Web,
    redis: Redis,
}

impl JobsApi {
    async fn open() -> Self {
        Self::beside(&[]).await
    }

    /// A api beside a sandbox that is told `arguments`.
    async fn beside(arguments: &[&str]) -> Self {
        let system = TestSystem::start(arguments).await;
        Self { web: system.start_web().await, redis: system.servers.redis().await, system }
    }

    async fn enqueue(&self, job: &NewJob) -> JobId {
        enqueue_job(&self.system.pool, &self.redis, job).await.expect("the jobs table accepts it").job_id
    }

    /// A job in a state that it has come to by itself.
    async fn enqueue_in(&self, state: &str) -> JobId {
        let job_id = self.enqueue(&incremental()).await;
        sqlx::query!(
            r#"WITH held AS (
                   INSERT INTO job_leases (job_id, epoch, worker, expires_at)
                   SELECT $1, 0, 'w', now() + interval '1 hour' WHERE $2 = 'running')
               UPDATE jobs SET state = $2, due_at = now() + interval '1 hour',
                      finished_at = CASE WHEN $2 IN ('succeeded', 'failed', 'cancelled') THEN now() END
                WHERE id = $1"#,
            job_id.0,
            state
        )
        .execute(&self.system.pool)
        .await
        .expect("the jobs table responds");
        job_id
    }

    async fn post(&self, path: &str, key: &str) -> ApiResponse {
        let response = self.web.request(Method::POST, &format!("/api/v1/{path}"), Some(key), None).await;
        response.expect("the web process responds")
    }

    /// Moves a job as an operator may, which must be accepted, and says what was answered.
    async fn moved(&self, job_id: JobId, verb: &str) -> Value {
        let response = self.post(&format!("jobs/{job_id}/{verb}"), OPERATOR).await;
        assert_eq!(response.status, 202, "{verb}: {response:?}");
        let moved = response.json();
        let followed = moved["job_id"].as_str().expect("an id");
        assert_eq!(response.headers["location"], format!("/api/v1/jobs/{followed}"));
        assert!(moved["message"].as_str().is_some_and(|message| !message.is_empty()), "{moved}");
        moved
    }

    async fn job(&self, job_id: JobId) -> Value {
        self.web.get(&format!("/api/v1/jobs/{job_id}")).await
    }

    async fn until(&self, job_id: JobId, state: &str) -> Value {
        eventually(&format!("the job to be {state}"), || async {
            Some(self.job(job_id).await).filter(|job| job["state"] == state)
        })
        .await
    }

    async fn queue(&self, name: &str) -> Value {
        let queues = self.web.get("/api/v1/queues").await;
        let found = queues["items"].as_array().expect("items").iter().find(|queue| queue["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {queues}")).clone()
    }
}

fn incremental() -> NewJob {
    NewJob::sync(Source::Vima, &SyncArgs::Incremental, Trigger::Schedule)
}

fn day_again(day: u32) -> NewJob {
    let day = chrono::NaiveDate::from_ymd_opt(2026, 1, day).expect("a day");
    NewJob::sync(Source::Vima, &SyncArgs::Range { from_date: day, to_date: day }, Trigger::Api)
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items").iter();
    items.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn jobs_are_walked_newest_first_and_found_by_what_they_are() {
    let api = JobsApi::open().await;
    let mut made = vec![];
    for day in 1..=7 {
        made.push(api.enqueue(&day_again(day)).await.to_string());
    }
    let plain = api.enqueue(&NewJob::without_args(&HOUSEKEEPING, Trigger::Cli)).await;
    made.push(plain.to_string());
    let of_tomorrow = api.enqueue_in("failed").await;
    sqlx::query!("UPDATE jobs SET kind = 'of-tomorrow', queue = 'tomorrow' WHERE id = $1", of_tomorrow.0)
        .execute(&api.system.pool)
        .await
        .expect("the jobs table responds");
    made.push(of_tomorrow.to_string());
    let at_work = api.enqueue_in("running").await.to_string();
    made.push(at_work.clone());
    made.reverse();

    let (mut walked, mut path) = (vec![], "/api/v1/jobs?limit=4".to_owned());
    loop {
        let page = api.web.get(&path).await;
        assert_eq!((&page["total"], &page["total_relation"]), (&json!(10), &json!("exact")), "{page}");
        walked.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/jobs?limit=4&cursor={cursor}");
    }
    assert_eq!(walked, made);
    assert_eq!(ids(&api.web.get("/api/v1/jobs?limit=4&page=2").await), made[4..8]);

    let (of_tomorrow, plain) = (of_tomorrow.to_string(), plain.to_string());
    for (query, expected) in [
        ("kind=housekeeping", vec![plain.clone()]),
        ("queue=maintenance", vec![plain.clone()]),
        ("state=failed", vec![of_tomorrow.clone()]),
        ("state=failed,cancelled,succeeded", vec![of_tomorrow]),
        ("state=queued&queue=maintenance&kind=housekeeping,sync-vima", vec![plain]),
        ("state=running", vec![at_work.clone()]),
        ("state=running,failed&queue=sync", vec![at_work]),
        ("kind=sync-vima,sync-payshack", [&made[..1], &made[3..]].concat()),
    ] {
        let page = api.web.get(&format!("/api/v1/jobs?{query}")).await;
        assert_eq!((ids(&page), page["total"].as_u64()), (expected.clone(), Some(expected.len() as u64)), "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let api = JobsApi::open().await;
    let job = format!("jobs/{}", api.enqueue(&incremental()).await);
    let nobody = "jobs/00000000-0000-0000-0000-000000000000";
    let get = |path: &str| (Method::GET, path.to_owned(), VIEWER);
    let post = |path: &str, verb: &str, key| (Method::POST, format!("{path}/{verb}"), key);
    for ((method, path, key), status, told) in [
        (get("jobs?state=done"), 422, "queued, scheduled, running, retrying, succeeded, failed, cancelled"),
        (
            get("jobs?kind=sync-visa"),
            422,
            "sync-payshack-metadata, replay-quarantine, reconcile, export, refresh-fx-rates, rebuild-rollups, housekeeping",
        ),
        (get("jobs?queue=fast"), 422, "export, maintenance, reconciliation, sync"),
        (get("jobs?cursor=forged"), 422, "cursor"),
        (get("jobs/17"), 422, "must be a UUID"),
        (get(nobody), 404, "there is no such job"),
        (post(&job, "cancel", VIEWER), 403, "operator"),
        (post(&job, "retry", VIEWER), 403, "operator"),
        (post(&job, "retry", OPERATOR), 409, "queued already"),
        (post("jobs/17", "cancel", OPERATOR), 422, "must be a UUID"),
        (post("jobs/17", "retry", OPERATOR), 422, "must be a UUID"),
        (post(nobody, "cancel", OPERATOR), 404, "there is no such job"),
        (post(nobody, "retry", OPERATOR), 404, "there is no such job"),
        (post("queues/sync", "pause", OPERATOR), 403, "admin"),
        (post("queues/sync", "resume", OPERATOR), 403, "admin"),
        (post("queues/fast", "pause", ADMIN), 404, "there is no such queue"),
        (post("queues/fast", "resume", ADMIN), 404, "there is no such queue"),
    ] {
        let response = api.web.request(method.clone(), &format!("/api/v1/{path}"), Some(key), None).await;
        let response = response.expect("the web process responds");
        assert_eq!(response.status, status, "{method} {path}: {response:?}");
        assert!(response.json()["detail"].as_str().is_some_and(|detail| detail.contains(told)), "{path}: {response:?}");
    }
    for path in ["jobs", &job, "queues", "schedule"] {
        let response = api.web.request(Method::GET, &format!("/api/v1/{path}"), None, None).await;
        assert_eq!(response.expect("the web process responds").status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_state_that_forbids_it_is_a_conflict() {
    for (verb, state, told) in [
        ("retry", "running", "cancel it first"),
        ("retry", "succeeded", "POST /api/v1/sync/trigger"),
        ("cancel", "succeeded", "ended already (succeeded)"),
        ("cancel", "failed", "ended already (failed)"),
        ("cancel", "cancelled", "ended already (cancelled)"),
    ] {
        let api = JobsApi::open().await;
        let job_id = api.enqueue_in(state).await;
        let response = api.post(&format!("jobs/{job_id}/{verb}"), OPERATOR).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (409, &json!("CONFLICT")),
            "{verb} {state}: {response:?}"
        );
        assert!(response.text.contains(told), "{verb} {state}: {response:?}");
        assert_eq!(api.job(job_id).await["state"], state);
    }
}

#[tokio::test]
async fn a_waiting_job_that_is_cancelled_never_runs() {
    let api = JobsApi::open().await;
    let job_id = api.enqueue(&incremental()).await;
    assert_eq!(api.moved(job_id, "cancel").await["state"], "cancelled");
    let _worker = api.system.start_jobs(&["worker"]);
    api.system.run_job("sync-payshack", None);
    let job = api.job(job_id).await;
    assert_eq!((&job["state"], &job["error"]), (&json!("cancelled"), &json!("cancelled by otto")), "{job}");
    assert_eq!((&job["attempts"], &job["attempt"]), (&json!([]), &json!(0)), "{job}");
    assert!(job["finished_at"].is_string() && job["cancel_requested_at"].is_string(), "{job}");
}

#[tokio::test]
async fn a_running_job_is_told_to_stop_once() {
    let api = JobsApi::open().await;
    let job_id = api.enqueue_in("running").await;
    assert_eq!(api.moved(job_id, "cancel").await["state"], "running");
    let asked = api.job(job_id).await["cancel_requested_at"].clone();
    assert!(asked.is_string(), "{asked}");
    assert_eq!(api.post(&format!("jobs/{job_id}/cancel"), ADMIN).await.status, 202);
    assert_eq!(api.job(job_id).await["cancel_requested_at"], asked, "the second request changes nothing");
    assert_eq!(api.system.number("SELECT count(*) FROM jobs WHERE cancel_requested_by = 'otto'").await, 1);
}

#[tokio::test]
async fn a_failed_job_is_done_again_by_a_new_one() {
    let api = JobsApi::open().await;
    for state in ["failed", "cancelled"] {
        let old = api.enqueue_in(state).await;
        let moved = api.moved(old, "retry").await;
        assert_eq!(moved["state"], "queued");
        let new = JobId(moved["job_id"].as_str().and_then(|id| id.parse().ok()).expect("an id"));
        assert_ne!(new, old);
        assert_eq!(api.moved(old, "retry").await["job_id"], moved["job_id"], "what is live already is joined");
        let (was, is) = (api.job(old).await, api.job(new).await);
        assert_eq!(was["state"], state, "the old one keeps its end");
        for field in ["kind", "args", "queue", "max_attempts"] {
            assert_eq!(was[field], is[field], "{field}");
        }
        let told = ["trigger", "requested_by", "priority", "attempt"].map(|field| is[field].clone());
        assert_eq!(told, [json!("retry"), json!("otto"), json!(0), json!(0)]);
        assert_eq!(api.moved(new, "cancel").await["state"], "cancelled");
    }
}

#[tokio::test]
async fn a_retry_with_an_idempotency_key_is_carried_out_once() {
    let api = JobsApi::open().await;
    let path = format!("/api/v1/jobs/{}/retry", api.enqueue_in("failed").await);
    let headers = [("idempotency-key", "once"), ("x-api-key", OPERATOR)];
    let first = api.web.post_with(&path, &headers, "").await;
    assert_eq!(first.status, 202, "{first:?}");
    let new = JobId(first.json()["job_id"].as_str().and_then(|id| id.parse().ok()).expect("an id"));
    api.moved(new, "cancel").await;
    assert_eq!(api.web.post_with(&path, &headers, "").await.text, first.text, "a job that has ended is not joined");
    assert_eq!(api.system.number("SELECT count(*) FROM jobs").await, 2);
}

#[tokio::test]
async fn what_waits_for_its_time_need_not_wait() {
    let api = JobsApi::open().await;
    for state in ["retrying", "scheduled"] {
        let job_id = api.enqueue_in(state).await;
        let moved = api.moved(job_id, "retry").await;
        assert_eq!((&moved["job_id"], &moved["state"]), (&json!(job_id.to_string()), &json!(state)));
        let due = api.system.number("SELECT count(*) FROM jobs WHERE due_at <= now() AND priority = 0").await;
        assert_eq!(due, 1, "{state}");
        api.moved(job_id, "cancel").await;
        sqlx::query!("DELETE FROM jobs").execute(&api.system.pool).await.expect("the jobs table responds");
    }
}

#[tokio::test]
async fn a_job_of_an_unknown_kind_is_not_done_again() {
    let api = JobsApi::open().await;
    let job_id = api.enqueue_in("failed").await;
    sqlx::query!("UPDATE jobs SET kind = 'of-tomorrow'")
        .execute(&api.system.pool)
        .await
        .expect("the jobs table responds");
    let response = api.post(&format!("jobs/{job_id}/retry"), OPERATOR).await;
    assert!(response.status == 409 && response.text.contains("no jobs of kind of-tomorrow"), "{response:?}");
}

#[tokio::test]
async fn a_job_is_shown_with_its_attempts_and_its_result() {
    let api = JobsApi::open().await;
    let _worker = api.system.start_jobs(&["worker"]);
    let job_id = api.enqueue(&incremental()).await;
    let job = api.until(job_id, "succeeded").await;
    assert!(job["result"].is_object() && job["error"].is_null() && job["suspect"] == false, "{job}");
    let attempts = job["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 1, "{job}");
    assert_eq!((&attempts[0]["attempt"], &attempts[0]["outcome"]), (&json!(1), &json!("succeeded")));
    assert!(attempts[0]["worker"].is_string() && attempts[0]["finished_at"].is_string(), "{job}");
    let throughput = &api.queue("sync").await["throughput"];
    assert_eq!(*throughput, json!({"finished": 1, "failed": 0, "window_seconds": 300, "per_minute": 0.2}));
}

#[tokio::test]
async fn queues_tell_how_they_stand() {
    let api = JobsApi::open().await;
    let idle = api.queue("maintenance").await;
    assert_eq!((&idle["paused"], &idle["oldest_waiting_seconds"]), (&json!(false), &Value::Null), "{idle}");
    assert_eq!(idle["depth"], json!({"queued": 0, "scheduled": 0, "running": 0, "retrying": 0}));
    for day in 1..=3 {
        api.enqueue(&day_again(day)).await;
    }
    api.enqueue_in("running").await;
    sqlx::query!("UPDATE jobs SET due_at = now() - interval '1 minute' WHERE state = 'queued'")
        .execute(&api.system.pool)
        .await
        .expect("the jobs table responds");
    let queue = api.queue("sync").await;
    assert_eq!(queue["depth"], json!({"queued": 3, "scheduled": 0, "running": 1, "retrying": 0}));
    assert!(queue["oldest_waiting_seconds"].as_u64().is_some_and(|seconds| seconds >= 60), "{queue}");
    assert_eq!(queue["workers_alive"], 0);
    sqlx::query!("UPDATE jobs SET queue = 'tomorrow' WHERE state = 'running'")
        .execute(&api.system.pool)
        .await
        .expect("the jobs table responds");
    assert_eq!(api.queue("tomorrow").await["depth"]["running"], 1, "a queue that only the jobs table knows");
    assert_eq!(api.post("queues/tomorrow/pause", ADMIN).await.status, 200);
}

#[tokio::test]
async fn a_queue_that_only_a_worker_knows_can_be_paused() {
    let api = JobsApi::open().await;
    assert_eq!(api.post("queues/trial/pause", ADMIN).await.status, 404);
    let _worker = RunningProgram::start(Program::TestJobs, &["worker"], api.system.settings());
    let paused = eventually("the worker to be seen", || async {
        Some(api.post("queues/trial/pause", ADMIN).await).filter(|response| response.status == 200)
    })
    .await;
    assert_eq!(paused.json()["workers_alive"], 1, "{paused:?}");
}

#[tokio::test]
async fn a_pause_is_kept_by_whoever_was_first() {
    let api = JobsApi::open().await;
    let paused = api.post("queues/sync/pause", ADMIN).await;
    assert_eq!(paused.status, 200, "{paused:?}");
    let paused = paused.json();
    assert_eq!(
        (&paused["name"], &paused["paused"], &paused["paused_by"]),
        (&json!("sync"), &json!(true), &json!("ada"))
    );
    assert_eq!(api.post("queues/sync/pause", ADMIN).await.json()["paused_at"], paused["paused_at"]);
    assert_eq!(api.queue("sync").await, paused);
    for _ in 0..2 {
        let resumed = api.post("queues/sync/resume", ADMIN).await;
        assert_eq!((resumed.status, &resumed.json()["paused"]), (200, &json!(false)), "{resumed:?}");
    }
}

#[tokio::test]
async fn the_schedule_is_shown_as_schedulers_have_it() {
    let api = JobsApi::open().await;
    let entry = |name: &str, expression: &str| ScheduleEntry {
        name: name.to_owned(),
        kind: SYNC_VIMA.name.to_owned(),
        expression: expression.to_owned(),
        timezone: "UTC".to_owned(),
        next_tick_at: Some("2026-01-15T10:01:00Z".parse().expect("a time")),
    };
    let pool = &api.system.pool;
    let show = async |entries: &[ScheduleEntry]| {
        schedule_entries::upsert_all(pool, entries).await.expect("the jobs table accepts it")
    };
    show(&[entry("gone", "every 60 s"), entry("vima", "every 30 s")]).await;
    sqlx::query!("UPDATE schedules SET seen_at = now() - interval '25 hours'").execute(pool).await.expect("a response");
    show(&[entry("vima", "every 60 s"), entry("nightly", "0 0 3 * * *")]).await;
    assert_eq!(api.system.number("SELECT count(*) FROM schedules").await, 2, "what nobody shows is forgotten");
    let tick = "2026-01-15T10:00:00Z".parse().expect("a time");
    let ticked = enqueue_tick(pool, &api.redis, "vima", tick, incremental()).await.expect("the jobs table accepts it");
    let Ticked::Enqueued(ticked) = ticked else { panic!("nobody else records ticks here: {ticked:?}") };
    let schedule = api.web.get("/api/v1/schedule").await;
    let waits = json!({
        "name": "vima", "kind": "sync-vima", "expression": "every 60 s", "timezone": "UTC",
        "last_tick_at": "2026-01-15T10:00:00Z", "last_job_id": ticked.job_id, "last_outcome": "queued",
        "last_finished_at": null, "next_tick_at": "2026-01-15T10:01:00Z",
    });
    assert_eq!(schedule["items"][1], waits);
    let never = &schedule["items"][0];
    let told = ["name", "last_tick_at", "last_job_id", "last_outcome"].map(|field| never[field].clone());
    assert_eq!(told, [json!("nightly"), Value::Null, Value::Null, Value::Null]);
    sqlx::query!("DELETE FROM jobs").execute(pool).await.expect("the jobs table responds");
    let forgotten = api.web.get("/api/v1/schedule").await["items"][1].clone();
    assert_eq!((&forgotten["last_job_id"], &forgotten["last_outcome"]), (&json!(ticked.job_id), &Value::Null));
}

#[tokio::test]
async fn a_paused_queue_waits_until_it_is_resumed() {
    let api = JobsApi::open().await;
    assert_eq!(api.post("queues/sync/pause", ADMIN).await.status, 200);
    let job_id = api.enqueue(&incremental()).await;
    let _worker = api.system.start_jobs(&["worker"]);
    api.system.run_job("housekeeping", None);
    eventually("a worker to be seen", || async { (api.queue("sync").await["workers_alive"] == 1).then_some(()) }).await;
    let job = api.job(job_id).await;
    assert_eq!((&job["state"], &job["attempts"]), (&json!("queued"), &json!([])), "{job}");
    assert_eq!(api.post("queues/sync/resume", ADMIN).await.status, 200);
    api.until(job_id, "succeeded").await;
}

#[tokio::test]
async fn a_running_job_that_is_cancelled_is_stopped_by_its_worker() {
    // Longer than a test waits: the job ends by being cancelled, or not at all.
    let api = JobsApi::beside(&["--fault", "latency-ms=600000"]).await;
    let _worker = api.system.start_jobs(&["worker"]);
    let job_id = api.enqueue(&incremental()).await;
    let run = async || {
        let runs = api.web.get("/api/v1/sync/runs").await;
        let items = runs["items"].as_array().expect("items");
        items.iter().find(|run| run["job_id"] == json!(job_id)).map(|run| run["status"].clone())
    };
    let status = eventually("the run to have begun", &run).await;
    assert_eq!(status, "running");
    assert_eq!(api.moved(job_id, "cancel").await["state"], "running");
    let job = api.until(job_id, "cancelled").await;
    assert_eq!((&job["error"], &job["attempts"][0]["outcome"]), (&json!("cancelled by otto"), &json!("cancelled")));
    assert_eq!(run().await, Some(json!("cancelled")));
    assert_eq!(api.queue("sync").await["depth"]["running"], 0, "its limit is free again");
}

#[tokio::test]
async fn the_schedulers_table_is_shown() {
    let api = JobsApi::open().await;
    let _both = api.system.start_jobs(&["worker", "--scheduler"]);
    let entries = eventually("a sync of the schedule to have succeeded", || async {
        let entries = api.web.get("/api/v1/schedule").await["items"].clone();
        let done = |entry: &Value| entry["name"] == "sync-vima" && entry["last_outcome"] == "succeeded";
        entries.as_array().is_some_and(|entries| entries.iter().any(done)).then_some(entries)
    })
    .await;
    for entry in entries.as_array().expect("items") {
        for field in ["kind", "expression", "timezone", "next_tick_at"] {
            assert!(entry[field].is_string(), "{field} of {entry}");
        }
    }
    let named = entries.as_array().expect("items").iter().filter_map(|entry| entry["name"].as_str());
    assert!(named.collect::<Vec<_>>().is_sorted(), "{entries}");
}
