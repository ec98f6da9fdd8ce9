//! `crashing`: aborts its process, like running out of memory or a bug in a C library would.

use std::time::Duration;

use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{JobHandler, JobResult};
use psp_jobs::job_context::JobContext;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::effects;
use crate::kinds::CRASHING;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Args {
    /// How many of its claims crash, before one succeeds and has the effect. `None`: all of them.
    pub crashes: Option<i64>,
    /// The time until the crash, in milliseconds.
    #[serde(default)]
    pub after_ms: u64,
}

pub struct Crashing;

impl JobHandler for Crashing {
    const KIND: &'static JobKind = &CRASHING;
    type Args = Args;

    async fn run(context: &JobContext, job: &ClaimedJob, Args { crashes, after_ms }: Args) -> JobResult {
        // Epochs count claims; attempts do not count crashes.
        if crashes.is_none_or(|crashes| job.claim.epoch <= crashes) {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            std::process::abort();
        }
        effects::insert_once(&context.pool, &job.claim).await?;
        Ok(json!({}))
    }
}
