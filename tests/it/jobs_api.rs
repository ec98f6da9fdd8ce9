//! The API for jobs, queues and the schedule.

mod filters;
mod jobs;
mod queues;
mod schedule;
mod waiting;
mod workers;

use psp_dashboard::domain::job::{JobId, NewJob, Trigger};
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::redis::Redis;
use reqwest::Method;
use serde_json::Value;

use crate::harness::eventually;
use crate::harness::test_system::{ApiResponse, OPERATOR, TestSystem, Web, items};

/// A system with a web process but without a worker.
struct JobsApi {
    system: TestSystem,
    web: Web,
    redis: Redis,
}

impl JobsApi {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(sandbox: &[&str]) -> Self {
        let system = TestSystem::start(sandbox).await;
        Self { web: system.start_web().await, redis: system.servers.redis().await, system }
    }

    async fn enqueue(&self, job: &NewJob) -> JobId {
        enqueue_job(&self.system.pool, &self.redis, job).await.expect("the job is enqueued").job_id
    }

    /// Enqueues a job and puts it into a state.
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

    /// Cancels or retries a job as an operator, and asserts that this is accepted.
    async fn control(&self, job_id: JobId, action: &str) -> Value {
        let response = self.post(&format!("jobs/{job_id}/{action}"), OPERATOR).await;
        assert_eq!(response.status, 202, "{action}: {response:?}");
        let accepted = response.json();
        let id = accepted["job_id"].as_str().expect("an id");
        assert_eq!(response.header("location"), format!("/api/v1/jobs/{id}"));
        assert!(accepted["message"].as_str().is_some_and(|message| !message.is_empty()), "{accepted}");
        accepted
    }

    async fn job(&self, job_id: JobId) -> Value {
        self.web.get(&format!("/api/v1/jobs/{job_id}")).await
    }

    async fn wait_for_state(&self, job_id: JobId, state: &str) -> Value {
        eventually(&format!("the job to be {state}"), || async {
            Some(self.job(job_id).await).filter(|job| job["state"] == state)
        })
        .await
    }

    async fn queue(&self, name: &str) -> Value {
        let queues = self.web.get("/api/v1/queues").await;
        let found = items(&queues).iter().find(|queue| queue["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {queues}")).clone()
    }
}

fn incremental() -> NewJob {
    NewJob::sync(Source::Vima, &SyncArgs::Incremental, Trigger::Schedule)
}

fn sync_of_day(day: u32) -> NewJob {
    let day = chrono::NaiveDate::from_ymd_opt(2026, 1, day).expect("a valid day");
    NewJob::sync(Source::Vima, &SyncArgs::Range { from_date: day, to_date: day }, Trigger::Api)
}

fn ids(page: &Value) -> Vec<String> {
    items(page).iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}
