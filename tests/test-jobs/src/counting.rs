//! `counting`: has one effect, and pauses at a chosen point of its transaction.

use std::time::Duration;

use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{JobHandler, JobResult};
use psp_jobs::job_context::JobContext;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::effects;
use crate::kinds::COUNTING;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Args {
    /// The shortest pause, in milliseconds.
    pub least_ms: u64,
    /// The longest pause, in milliseconds.
    pub most_ms: u64,
    pub pause: Pause,
}

/// The arguments as stored in the job's row.
#[must_use]
pub fn args(least_ms: u64, most_ms: u64, pause: Pause) -> Value {
    json!(Args { least_ms, most_ms, pause })
}

/// Where a job pauses, which decides what a worker leaves behind that is killed or stopped in the pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// A claim, and nothing else.
    BeforeWriting,
    /// A transaction with the effect, whose claim is not verified.
    BeforeTheCheck,
    /// A transaction with the effect, whose claim is verified: the job's row is locked.
    BeforeTheCommit,
    /// The effect, whose job is not recorded as done.
    AfterTheCommit,
}

pub struct Counting;

impl JobHandler for Counting {
    const KIND: &'static JobKind = &COUNTING;
    type Args = Args;

    async fn run(context: &JobContext, job: &ClaimedJob, args: Args) -> JobResult {
        if effects::is_committed(&context.pool, &job.claim).await? {
            return Ok(json!({}));
        }
        args.pause_at(Pause::BeforeWriting).await;
        let mut transaction = context.pool.begin().await.map_err(DbError::from)?;
        effects::insert(&mut transaction, &job.claim).await?;
        args.pause_at(Pause::BeforeTheCheck).await;
        effects::verify_claim(&mut transaction, &job.claim).await?;
        args.pause_at(Pause::BeforeTheCommit).await;
        transaction.commit().await.map_err(DbError::from)?;
        args.pause_at(Pause::AfterTheCommit).await;
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
