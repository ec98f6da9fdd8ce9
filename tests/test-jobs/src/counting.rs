//! `counting`: has one effect, after a pause that can be put wherever it hurts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{Handler, JobError};
use psp_jobs::job_context::JobContext;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::effects;

/// What a job is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Args {
    /// The shortest pause, in milliseconds.
    pub least_ms: u64,
    /// The longest.
    pub most_ms: u64,
    /// Where it pauses.
    pub pause: Pause,
}

/// What a job is told, as its row says it.
#[must_use]
pub fn args(least_ms: u64, most_ms: u64, pause: Pause) -> Value {
    json!(Args { least_ms, most_ms, pause })
}

/// Where a job pauses: what a worker that is killed or stopped just then leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// A claim, and nothing else.
    BeforeWriting,
    /// A transaction with the effect, whose claim was not checked.
    BeforeTheCheck,
    /// A transaction with the effect, whose claim was checked: the job's row stays locked.
    BeforeTheCommit,
}

/// Has one effect.
pub struct Counting {
    context: Arc<JobContext>,
}

impl Counting {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for Counting {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let args: Args = serde_json::from_value(job.args.clone())?;
        if effects::was_had(&self.context.pool, &job.claim).await? {
            return Ok(json!({}));
        }
        args.pause_at(Pause::BeforeWriting).await;
        let mut transaction = self.context.pool.begin().await.map_err(DbError::from)?;
        effects::insert(&mut transaction, &job.claim).await?;
        args.pause_at(Pause::BeforeTheCheck).await;
        effects::check(&mut transaction, &job.claim).await?;
        args.pause_at(Pause::BeforeTheCommit).await;
        transaction.commit().await.map_err(DbError::from)?;
        Ok(json!({}))
    }
}

impl Args {
    async fn pause_at(&self, place: Pause) {
        if self.pause == place {
            let pause = rand::random_range(self.least_ms..=self.most_ms);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}
