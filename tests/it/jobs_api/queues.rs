//! Queues are shown, paused and resumed.

use serde_json::{Value, json};

use super::{JobsApi, incremental, sync_of_day};
use crate::harness::eventually;
use crate::harness::programs::{Program, RunningProgram};
use crate::harness::test_system::ADMIN;

#[tokio::test]
async fn queues_report_depth_and_oldest_waiting_job() {
    let api = JobsApi::start().await;
    let idle = api.queue("maintenance").await;
    assert_eq!((&idle["paused"], &idle["oldest_waiting_seconds"]), (&json!(false), &Value::Null), "{idle}");
    assert_eq!(idle["depth"], json!({"queued": 0, "scheduled": 0, "running": 0, "retrying": 0}));
    for day in 1..=3 {
        api.enqueue(&sync_of_day(day)).await;
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
    assert_eq!(api.queue("tomorrow").await["depth"]["running"], 1, "a queue that appears only in the jobs table");
    assert_eq!(api.post("queues/tomorrow/pause", ADMIN).await.status, 200);
}

#[tokio::test]
async fn queue_known_only_from_a_worker_can_be_paused() {
    let api = JobsApi::start().await;
    assert_eq!(api.post("queues/test/pause", ADMIN).await.status, 404);
    let _worker = RunningProgram::start(Program::TestJobs, &["worker"], api.system.jobs_settings());
    let paused = eventually("the worker to be registered", || async {
        Some(api.post("queues/test/pause", ADMIN).await).filter(|response| response.status == 200)
    })
    .await;
    assert_eq!(paused.json()["workers_alive"], 1, "{paused:?}");
}

#[tokio::test]
async fn repeated_pause_keeps_the_first_one() {
    let api = JobsApi::start().await;
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
async fn jobs_of_a_paused_queue_wait_until_it_is_resumed() {
    let api = JobsApi::start().await;
    assert_eq!(api.post("queues/sync/pause", ADMIN).await.status, 200);
    let job_id = api.enqueue(&incremental()).await;
    let _worker = api.system.start_jobs(&["worker"]);
    api.system.run_job("housekeeping", None);
    eventually("a worker to be registered", || async { (api.queue("sync").await["workers_alive"] == 1).then_some(()) })
        .await;
    let job = api.job(job_id).await;
    assert_eq!((&job["state"], &job["attempts"]), (&json!("queued"), &json!([])), "{job}");
    assert_eq!(api.post("queues/sync/resume", ADMIN).await.status, 200);
    api.wait_for_state(job_id, "succeeded").await;
}
