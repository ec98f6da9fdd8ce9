//! Jobs are listed, shown, cancelled and retried.

use psp_dashboard::domain::job::{HOUSEKEEPING, JobId, NewJob, Trigger};
use reqwest::Method;
use serde_json::json;

use super::{JobsApi, ids, incremental, sync_of_day};
use crate::harness::eventually;
use crate::harness::test_system::{ADMIN, OPERATOR, VIEWER, items};

#[tokio::test]
async fn jobs_are_listed_newest_first_and_filtered() {
    let api = JobsApi::start().await;
    let mut enqueued = vec![];
    for day in 1..=7 {
        enqueued.push(api.enqueue(&sync_of_day(day)).await.to_string());
    }
    let housekeeping = api.enqueue(&NewJob::without_args(&HOUSEKEEPING, Trigger::Cli)).await;
    enqueued.push(housekeeping.to_string());
    let unknown_kind = api.enqueue_in("failed").await;
    sqlx::query!("UPDATE jobs SET kind = 'of-tomorrow', queue = 'tomorrow' WHERE id = $1", unknown_kind.0)
        .execute(&api.system.pool)
        .await
        .expect("the jobs table responds");
    enqueued.push(unknown_kind.to_string());
    let running = api.enqueue_in("running").await.to_string();
    enqueued.push(running.clone());
    enqueued.reverse();

    let mut listed = vec![];
    for page in api.web.pages(ADMIN, "/api/v1/jobs?limit=4").await {
        assert_eq!((&page["total"], &page["total_relation"]), (&json!(10), &json!("exact")), "{page}");
        listed.extend(ids(&page));
    }
    assert_eq!(listed, enqueued);
    assert_eq!(ids(&api.web.get("/api/v1/jobs?limit=4&page=2").await), enqueued[4..8]);

    let (unknown_kind, housekeeping) = (unknown_kind.to_string(), housekeeping.to_string());
    for (query, expected) in [
        ("kind=housekeeping", vec![housekeeping.clone()]),
        ("queue=maintenance", vec![housekeeping.clone()]),
        ("state=failed", vec![unknown_kind.clone()]),
        ("state=failed,cancelled,succeeded", vec![unknown_kind]),
        ("state=queued&queue=maintenance&kind=housekeeping,sync-vima", vec![housekeeping]),
        ("state=running", vec![running.clone()]),
        ("state=running,failed&queue=sync", vec![running]),
        ("kind=sync-vima,sync-payshack", [&enqueued[..1], &enqueued[3..]].concat()),
    ] {
        let page = api.web.get(&format!("/api/v1/jobs?{query}")).await;
        assert_eq!((ids(&page), page["total"].as_u64()), (expected.clone(), Some(expected.len() as u64)), "{query}");
    }
}

#[tokio::test]
async fn invalid_and_forbidden_requests_are_rejected() {
    let api = JobsApi::start().await;
    let job = format!("jobs/{}", api.enqueue(&incremental()).await);
    let unknown = "jobs/00000000-0000-0000-0000-000000000000";
    let get = |path: &str| (Method::GET, path.to_owned(), VIEWER);
    let post = |path: &str, action: &str, key| (Method::POST, format!("{path}/{action}"), key);
    for ((method, path, key), status, message) in [
        (get("jobs?state=done"), 422, "queued, scheduled, running, retrying, succeeded, failed, cancelled"),
        (
            get("jobs?kind=sync-visa"),
            422,
            "sync-payshack-metadata, replay-quarantine, reconcile, export, deliver-webhook, evaluate-alerts",
        ),
        (get("jobs?queue=fast"), 422, "export, maintenance, reconciliation, reports, sync"),
        (get("jobs?cursor=forged"), 422, "cursor"),
        (get("jobs/17"), 422, "must be a UUID"),
        (get(unknown), 404, "there is no such job"),
        (post(&job, "cancel", VIEWER), 403, "operator"),
        (post(&job, "retry", VIEWER), 403, "operator"),
        (post(&job, "retry", OPERATOR), 409, "queued already"),
        (post("jobs/17", "cancel", OPERATOR), 422, "must be a UUID"),
        (post("jobs/17", "retry", OPERATOR), 422, "must be a UUID"),
        (post(unknown, "cancel", OPERATOR), 404, "there is no such job"),
        (post(unknown, "retry", OPERATOR), 404, "there is no such job"),
        (post("queues/sync", "pause", OPERATOR), 403, "admin"),
        (post("queues/sync", "resume", OPERATOR), 403, "admin"),
        (post("queues/fast", "pause", ADMIN), 404, "there is no such queue"),
        (post("queues/fast", "resume", ADMIN), 404, "there is no such queue"),
    ] {
        let response = api.web.request(method.clone(), &format!("/api/v1/{path}"), Some(key), None).await;
        let response = response.expect("the web process responds");
        assert_eq!(response.status, status, "{method} {path}: {response:?}");
        assert!(
            response.json()["detail"].as_str().is_some_and(|detail| detail.contains(message)),
            "{path}: {response:?}"
        );
    }
    for path in ["jobs", &job, "queues", "schedule"] {
        let response = api.web.request(Method::GET, &format!("/api/v1/{path}"), None, None).await;
        assert_eq!(response.expect("the web process responds").status, 401, "{path}");
    }
}

#[tokio::test]
async fn control_in_the_wrong_state_is_a_conflict() {
    for (action, state, message) in [
        ("retry", "running", "cancel it first"),
        ("retry", "succeeded", "POST /api/v1/sync/trigger"),
        ("cancel", "succeeded", "ended already (succeeded)"),
        ("cancel", "failed", "ended already (failed)"),
        ("cancel", "cancelled", "ended already (cancelled)"),
    ] {
        let api = JobsApi::start().await;
        let job_id = api.enqueue_in(state).await;
        let response = api.post(&format!("jobs/{job_id}/{action}"), OPERATOR).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (409, &json!("CONFLICT")),
            "{action} {state}: {response:?}"
        );
        assert!(response.text.contains(message), "{action} {state}: {response:?}");
        assert_eq!(api.job(job_id).await["state"], state);
    }
}

#[tokio::test]
async fn cancelled_queued_job_never_runs() {
    let api = JobsApi::start().await;
    let job_id = api.enqueue(&incremental()).await;
    assert_eq!(api.control(job_id, "cancel").await["state"], "cancelled");
    let _worker = api.system.start_jobs(&["worker"]);
    api.system.run_job("sync-payshack", None);
    let job = api.job(job_id).await;
    assert_eq!((&job["state"], &job["error"]), (&json!("cancelled"), &json!("cancelled by otto")), "{job}");
    assert_eq!((&job["attempts"], &job["attempt"]), (&json!([]), &json!(0)), "{job}");
    assert!(job["finished_at"].is_string() && job["cancel_requested_at"].is_string(), "{job}");
}

#[tokio::test]
async fn repeated_cancel_of_a_running_job_changes_nothing() {
    let api = JobsApi::start().await;
    let job_id = api.enqueue_in("running").await;
    assert_eq!(api.control(job_id, "cancel").await["state"], "running");
    let requested_at = api.job(job_id).await["cancel_requested_at"].clone();
    assert!(requested_at.is_string(), "{requested_at}");
    assert_eq!(api.post(&format!("jobs/{job_id}/cancel"), ADMIN).await.status, 202);
    assert_eq!(api.job(job_id).await["cancel_requested_at"], requested_at, "the second request changes nothing");
    assert_eq!(api.system.number("SELECT count(*) FROM jobs WHERE cancel_requested_by = 'otto'").await, 1);
}

#[tokio::test]
async fn retry_of_a_finished_job_creates_a_new_job() {
    let api = JobsApi::start().await;
    for state in ["failed", "cancelled"] {
        let old = api.enqueue_in(state).await;
        let accepted = api.control(old, "retry").await;
        assert_eq!(accepted["state"], "queued");
        let new = JobId(accepted["job_id"].as_str().and_then(|id| id.parse().ok()).expect("an id"));
        assert_ne!(new, old);
        assert_eq!(
            api.control(old, "retry").await["job_id"],
            accepted["job_id"],
            "a second retry joins the queued job"
        );
        let (old_job, new_job) = (api.job(old).await, api.job(new).await);
        assert_eq!(old_job["state"], state, "the old job keeps its state");
        for field in ["kind", "args", "queue", "max_attempts"] {
            assert_eq!(old_job[field], new_job[field], "{field}");
        }
        let values = ["trigger", "requested_by", "priority", "attempt"].map(|field| new_job[field].clone());
        assert_eq!(values, [json!("retry"), json!("otto"), json!(0), json!(0)]);
        assert_eq!(api.control(new, "cancel").await["state"], "cancelled");
    }
}

#[tokio::test]
async fn retry_with_a_repeated_idempotency_key_creates_one_job() {
    let api = JobsApi::start().await;
    let path = format!("/api/v1/jobs/{}/retry", api.enqueue_in("failed").await);
    let headers = [("idempotency-key", "once"), ("x-api-key", OPERATOR)];
    let first = api.web.post_with(&path, &headers, "").await;
    assert_eq!(first.status, 202, "{first:?}");
    let new = JobId(first.json()["job_id"].as_str().and_then(|id| id.parse().ok()).expect("an id"));
    api.control(new, "cancel").await;
    assert_eq!(
        api.web.post_with(&path, &headers, "").await.text,
        first.text,
        "without the key, the finished job would not be joined"
    );
    assert_eq!(api.system.number("SELECT count(*) FROM jobs").await, 2);
}

#[tokio::test]
async fn retry_of_a_delayed_job_makes_it_due() {
    let api = JobsApi::start().await;
    for state in ["retrying", "scheduled"] {
        let job_id = api.enqueue_in(state).await;
        let accepted = api.control(job_id, "retry").await;
        assert_eq!((&accepted["job_id"], &accepted["state"]), (&json!(job_id.to_string()), &json!(state)));
        let due = api.system.number("SELECT count(*) FROM jobs WHERE due_at <= now() AND priority = 0").await;
        assert_eq!(due, 1, "{state}");
        api.control(job_id, "cancel").await;
        sqlx::query!("DELETE FROM jobs").execute(&api.system.pool).await.expect("the jobs table responds");
    }
}

#[tokio::test]
async fn retry_of_an_unknown_kind_is_a_conflict() {
    let api = JobsApi::start().await;
    let job_id = api.enqueue_in("failed").await;
    sqlx::query!("UPDATE jobs SET kind = 'of-tomorrow'")
        .execute(&api.system.pool)
        .await
        .expect("the jobs table responds");
    let response = api.post(&format!("jobs/{job_id}/retry"), OPERATOR).await;
    assert!(response.status == 409 && response.text.contains("no jobs of kind of-tomorrow"), "{response:?}");
}

#[tokio::test]
async fn finished_job_is_shown_with_its_attempts_and_result() {
    let api = JobsApi::start().await;
    let _worker = api.system.start_jobs(&["worker"]);
    let job_id = api.enqueue(&incremental()).await;
    let job = api.wait_for_state(job_id, "succeeded").await;
    assert!(job["result"].is_object() && job["error"].is_null() && job["suspect"] == false, "{job}");
    let attempts = job["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 1, "{job}");
    assert_eq!((&attempts[0]["attempt"], &attempts[0]["outcome"]), (&json!(1), &json!("succeeded")));
    assert!(attempts[0]["worker"].is_string() && attempts[0]["finished_at"].is_string(), "{job}");
    let throughput = &api.queue("sync").await["throughput"];
    assert_eq!(*throughput, json!({"finished": 1, "failed": 0, "window_seconds": 300, "per_minute": 0.2}));
}

#[tokio::test]
async fn worker_stops_a_cancelled_running_job() {
    // Longer than a test waits, so the job can only end by being cancelled.
    let api = JobsApi::start_with(&["--fault", "latency-ms=600000"]).await;
    let _worker = api.system.start_jobs(&["worker"]);
    let job_id = api.enqueue(&incremental()).await;
    let run_status = async || {
        let runs = api.web.get("/api/v1/sync/runs").await;
        items(&runs).iter().find(|run| run["job_id"] == json!(job_id)).map(|run| run["status"].clone())
    };
    let status = eventually("the run to start", &run_status).await;
    assert_eq!(status, "running");
    assert_eq!(api.control(job_id, "cancel").await["state"], "running");
    let job = api.wait_for_state(job_id, "cancelled").await;
    assert_eq!((&job["error"], &job["attempts"][0]["outcome"]), (&json!("cancelled by otto"), &json!("cancelled")));
    assert_eq!(run_status().await, Some(json!("cancelled")));
    assert_eq!(api.queue("sync").await["depth"]["running"], 0, "its limit is free again");
}
