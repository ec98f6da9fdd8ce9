//! Jobs and syncs say what they wait for.

use std::time::Duration;

use psp_dashboard::db::providers::request_slots;
use serde_json::{Value, json};

use super::{JobsApi, incremental};
use crate::harness::eventually;
use crate::harness::test_system::{ADMIN, TestSystem, Web};

fn codes(waiting: &Value) -> Vec<&str> {
    let reasons = waiting.as_array().expect("reasons");
    reasons.iter().filter_map(|reason| reason["code"].as_str()).collect()
}

/// The status of a source.
async fn status(web: &Web, source: &str) -> Value {
    let status = web.get("/api/v1/sync/status").await;
    let sources = status["sources"].as_array().expect("sources");
    sources.iter().find(|status| status["source"] == source).expect("the source").clone()
}

async fn wait_for_status(web: &Web, source: &str, expected: &[&str]) -> Value {
    eventually(&format!("{source} to wait for {expected:?}"), || async {
        Some(status(web, source).await).filter(|status| codes(&status["blocked_by"]) == expected)
    })
    .await
}

#[tokio::test]
async fn sync_waits_for_its_queue_a_worker_and_a_scheduler() {
    let api = JobsApi::start().await;
    let idle = wait_for_status(&api.web, "vima", &["no_worker", "no_scheduler"]).await;
    assert_eq!(idle["next_job_id"], Value::Null);
    assert_eq!(api.post("queues/sync/pause", ADMIN).await.status, 200);
    let job_id = api.enqueue(&incremental()).await;
    let queued = wait_for_status(&api.web, "vima", &["queue_paused", "no_worker"]).await;
    assert_eq!(queued["next_job_id"], json!(job_id));
    let job = api.job(job_id).await;
    assert_eq!(job["waiting_for"], queued["blocked_by"]);
    let message = job["waiting_for"][0]["message"].as_str().expect("a sentence");
    assert!(message.starts_with("ada paused the queue sync at ") && message.ends_with("; resume it"), "{message}");
    let _processes = api.system.start_jobs(&["worker", "--scheduler"]);
    wait_for_status(&api.web, "vima", &["queue_paused"]).await;
    assert_eq!(api.post("queues/sync/resume", ADMIN).await.status, 200);
    assert_eq!(api.wait_for_state(job_id, "succeeded").await["waiting_for"], json!([]));
    wait_for_status(&api.web, "vima", &[]).await;
}

#[tokio::test]
async fn forced_sync_waits_for_the_running_one() {
    // Longer than a test waits.
    let api = JobsApi::start_with(&["--fault", "latency-ms=600000"]).await;
    let _worker = api.system.start_jobs(&["worker"]);
    let running = api.enqueue(&incremental()).await;
    assert_eq!(api.wait_for_state(running, "running").await["waiting_for"], json!([]));
    let forced = api.enqueue(&psp_dashboard::domain::job::NewJob { force: true, ..incremental() }).await;
    let job = eventually("the other one to wait", || async {
        Some(api.job(forced).await).filter(|job| codes(&job["waiting_for"]) == ["limit"])
    })
    .await;
    assert_eq!(job["waiting_for"][0]["job_id"], json!(running));
    let status = status(&api.web, "vima").await;
    assert_eq!((&status["next_job_id"], &status["blocked_by"]), (&json!(running), &json!([])), "the running one reads");
}

#[tokio::test]
async fn running_sync_says_that_the_provider_refused_the_login() {
    let system = TestSystem::start(&["--fault", "login-refused=1"]).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs_with(&["worker"], &[("PAYSHACK_LOGIN_PAUSE_SECONDS", "3600")]);
    let refused = system.try_run_job("sync-payshack-metadata", None);
    assert!(!refused.status.success(), "{refused:?}");
    let job_id = system.enqueue("sync-payshack", None);
    let status = wait_for_status(&web, "payshack", &["login_pause"]).await;
    assert_eq!((&status["status"], &status["next_job_id"]), (&json!("running"), &json!(job_id)), "{status}");
    let message = status["error_message"].as_str().expect("the reason");
    assert!(message.starts_with("payshack refused the login (") && message.contains("no login before"), "{message}");
    let job = web.get(&format!("/api/v1/jobs/{job_id}")).await;
    assert_eq!((&job["state"], &job["waiting_for"]), (&json!("running"), &status["blocked_by"]), "{job}");
    assert!(job["waiting_for"][0]["at"].is_string(), "{job}");
}

#[tokio::test]
async fn running_sync_says_that_it_waits_for_the_rate_limit() {
    let api = JobsApi::start().await;
    request_slots::pause(&api.system.pool, "vima", Duration::from_mins(10)).await.expect("a response");
    let _worker = api.system.start_jobs_with(&["worker"], &[("VIMA_REQUESTS_PER_SECOND", "2")]);
    let job_id = api.enqueue(&incremental()).await;
    let status = wait_for_status(&api.web, "vima", &["rate_limit"]).await;
    let message = status["error_message"].as_str().expect("the reason");
    assert!(message.starts_with("the rate limit of vima allows the next request at "), "{message}");
    assert_eq!(codes(&api.job(job_id).await["waiting_for"]), ["rate_limit"]);
}
