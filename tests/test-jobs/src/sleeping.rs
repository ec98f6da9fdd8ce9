//! `sleeping`: takes its time, here or inside a statement of the database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{Handler, JobError};
use psp_jobs::job_context::JobContext;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;

/// What a job is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Args {
    /// For how many seconds.
    pub seconds: f64,
    /// In one statement of the database, which goes on in the server when its future is dropped.
    #[serde(default)]
    pub in_server: bool,
}

/// Takes its time.
pub struct Sleeping {
    context: Arc<JobContext>,
}

impl Sleeping {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for Sleeping {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let Args { seconds, in_server } = serde_json::from_value(job.args.clone())?;
        if in_server {
            sleep_in_server(&self.context.pool, seconds).await?;
        } else {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
        Ok(json!({}))
    }
}

#[expect(clippy::disallowed_methods, reason = "it answers nothing that could be checked")]
async fn sleep_in_server(pool: &PgPool, seconds: f64) -> Result<(), DbError> {
    sqlx::query("SELECT pg_sleep($1)").bind(seconds).execute(pool).await?;
    Ok(())
}
