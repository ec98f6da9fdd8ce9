//! `panicking`: has a fault.

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{Handler, JobError};
use serde_json::Value;

/// Panics.
pub struct Panicking;

#[async_trait]
impl Handler for Panicking {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        panic!("attempt {} was told to panic", job.attempt);
    }
}
