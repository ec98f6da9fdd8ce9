//! `failing`: ends in an error, of each type that the decision to try again tells apart.

use std::time::Duration;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::providers::{ProviderError, Upstream};
use psp_jobs::handler::{Handler, JobError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a job is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Args {
    /// Each time, with an error that is worth another try.
    Retry,
    /// With an error that no retry mends.
    Never,
    /// Each time, and the next is to come after so many seconds.
    After {
        /// How many.
        seconds: u64,
    },
    /// Until the attempt of this number, which succeeds.
    Until {
        /// Which one, from 1.
        attempt: u32,
    },
}

/// Ends in an error.
pub struct Failing;

#[async_trait]
impl Handler for Failing {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let provider = Upstream::Vima;
        let unavailable = ProviderError::Unavailable { provider, status: 503 };
        Err(match serde_json::from_value(job.args.clone())? {
            Args::Until { attempt } if job.attempt >= attempt => return Ok(json!({})),
            Args::Retry | Args::Until { .. } => unavailable.into(),
            Args::Never => ProviderError::Refused { provider, status: 400, message: "no".to_owned() }.into(),
            Args::After { seconds } => {
                ProviderError::RateLimited { provider, retry_after: Duration::from_secs(seconds) }.into()
            }
        })
    }
}
