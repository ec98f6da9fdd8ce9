//! `sleeping`: sleeps, in this process or in a statement in PostgreSQL.

use std::time::Duration;

use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{JobHandler, JobResult};
use psp_jobs::job_context::JobContext;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;

use crate::kinds::SLEEPING;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Args {
    pub seconds: f64,
    /// In one statement, which continues in PostgreSQL when its future is dropped.
    #[serde(default)]
    pub in_server: bool,
}

pub struct Sleeping;

impl JobHandler for Sleeping {
    const KIND: &'static JobKind = &SLEEPING;
    type Args = Args;

    async fn run(context: &JobContext, _job: &ClaimedJob, Args { seconds, in_server }: Args) -> JobResult {
        if in_server {
            sleep_in_server(&context.pool, seconds).await?;
        } else {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
        Ok(json!({}))
    }
}

#[expect(clippy::disallowed_methods, reason = "pg_sleep returns void, which query! does not support")]
async fn sleep_in_server(pool: &PgPool, seconds: f64) -> Result<(), DbError> {
    sqlx::query("SELECT pg_sleep($1)").bind(seconds).execute(pool).await?;
    Ok(())
}
