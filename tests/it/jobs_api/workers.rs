//! Workers are listed with what they run.

use serde_json::{Value, json};
use sqlx::Executor;

use super::{JobsApi, incremental};
use crate::harness::eventually;
use crate::harness::test_system::{VIEWER, items};

#[tokio::test]
async fn worker_is_listed_with_its_host_and_its_running_job() {
    // Longer than a test waits.
    let api = JobsApi::start_with(&["--fault", "latency-ms=600000"]).await;
    assert_eq!(api.web.get("/api/v1/workers").await["items"], json!([]));
    let worker = api.system.start_jobs_with(&["worker", "--queues", "sync,export"], &[("WORKER_CONCURRENCY", "3")]);
    let job_id = api.enqueue(&incremental()).await;
    let listed = eventually("the worker to run the job", || async {
        let workers = api.web.get("/api/v1/workers?alive=true").await;
        items(&workers).iter().find(|worker| worker["running_count"] == 1).cloned()
    })
    .await;
    let values = ["name", "version", "slots", "queues", "alive"].map(|field| listed[field].clone());
    let version = json!(env!("CARGO_PKG_VERSION"));
    assert_eq!(values, [json!(worker.worker_name().await), version, json!(3), json!(["sync", "export"]), json!(true)]);
    assert!(listed["host"].as_str().is_some_and(|host| !host.is_empty()), "{listed}");
    assert!(listed["started_at"].is_string() && listed["last_heartbeat_at"].is_string(), "{listed}");
    let job = &listed["running"][0];
    let values = ["job_id", "kind", "queue", "isolated"].map(|field| job[field].clone());
    assert_eq!(values, [json!(job_id), json!("sync-vima"), json!("sync"), json!(false)]);
    assert_eq!(job["since"], api.job(job_id).await["attempts"][0]["started_at"]);
}

#[tokio::test]
async fn dead_workers_are_listed_as_such_and_pages_follow_the_start() {
    let api = JobsApi::start().await;
    let insert = "INSERT INTO processes (name, role, queues, started_at, last_seen_at)
                  SELECT 'worker-' || number, 'worker', '{sync}', now() - interval '1 hour', now() - age
                    FROM (VALUES (1, interval '0'), (2, interval '31 seconds'), (3, interval '1 minute')) AS worker (number, age);
                  INSERT INTO processes (name, role, started_at, last_seen_at) VALUES ('scheduler-1', 'scheduler', now(), now())";
    api.system.pool.execute(insert).await.expect("the jobs table responds");
    let names = |page: &Value| -> Vec<String> {
        items(page).iter().filter_map(|worker| worker["name"].as_str()).map(str::to_owned).collect()
    };
    for (query, expected) in [
        ("", &["worker-3", "worker-2", "worker-1"][..]),
        ("&alive=true", &["worker-1"]),
        ("&alive=false", &["worker-3", "worker-2"]),
    ] {
        let pages = api.web.pages(VIEWER, &format!("/api/v1/workers?limit=1{query}")).await;
        assert_eq!(pages.iter().flat_map(names).collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(pages[0]["total"], json!(expected.len()), "{query}");
    }
    // As a release without these columns has written it.
    let old = api.web.get("/api/v1/workers?alive=true").await["items"][0].clone();
    assert_eq!((&old["host"], &old["slots"], &old["running"]), (&Value::Null, &Value::Null, &json!([])), "{old}");
}
