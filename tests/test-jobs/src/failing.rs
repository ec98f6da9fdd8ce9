//! `failing`: fails, with each type of error that the decision about a retry distinguishes.

use std::time::Duration;

use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::providers::{ProviderError, Upstream};
use psp_jobs::handler::{JobHandler, JobResult};
use psp_jobs::job_context::JobContext;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::kinds::FAILING;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Args {
    /// Each attempt fails with an error that is retried.
    Retry,
    /// Fails with an error that is not retried.
    Never,
    /// Each attempt fails, and requests the next one after some seconds.
    After { seconds: u64 },
    /// Fails until the attempt with this number (from 1), which succeeds.
    Until { attempt: u32 },
}

pub struct Failing;

impl JobHandler for Failing {
    const KIND: &'static JobKind = &FAILING;
    type Args = Args;

    async fn run(_context: &JobContext, job: &ClaimedJob, args: Args) -> JobResult {
        let provider = Upstream::Vima;
        let unavailable = ProviderError::Unavailable { provider, status: 503, retry_after: None };
        Err(match args {
            Args::Until { attempt } if job.attempt >= attempt => return Ok(json!({})),
            Args::Retry | Args::Until { .. } => unavailable.into(),
            Args::Never => ProviderError::Refused { provider, status: 400, message: "no".to_owned() }.into(),
            Args::After { seconds } => {
                ProviderError::RateLimited { provider, retry_after: Duration::from_secs(seconds) }.into()
            }
        })
    }
}
