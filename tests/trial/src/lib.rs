//! `psp-jobs` with kinds of job that exist only for tests and benches. Production never knows them: it is the same program
//! with another registry.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use psp_dashboard::config::SyncConfig;
use psp_dashboard::domain::attempt::ClaimedJob;
use psp_dashboard::domain::job::{Backoff, JobKind};
use psp_jobs::environment::Environment;
use psp_jobs::handler::{Handler, JobError, Registry};
use psp_jobs::schedule::Entry;
use serde_json::{Value, json};

/// Does nothing.
pub const NO_OP: JobKind = JobKind {
    name: "no-op",
    queue: "trial",
    timeout: Duration::from_mins(1),
    max_attempts: 3,
    backoff: Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(1) },
    limit: None,
};

/// Every kind of job of the trials.
pub const KINDS: [&JobKind; 1] = [&NO_OP];

/// Who runs them.
#[must_use]
pub fn registry(_environment: &Arc<Environment>) -> Registry {
    Registry::default().with(&NO_OP, NoOp)
}

/// What runs when.
#[must_use]
pub fn schedule(_sync: &SyncConfig) -> Vec<Entry> {
    vec![]
}

struct NoOp;

#[async_trait]
impl Handler for NoOp {
    async fn run(&self, _job: &ClaimedJob) -> Result<Value, JobError> {
        Ok(json!({}))
    }
}
