//! What a job waits for, in a response about a job or a sync.

use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

use crate::domain::job::waiting::{WaitCode, WaitReason};
use crate::domain::masking::PiiAccess;
use crate::web::http::openapi::EXAMPLE_TIME;
use crate::web::http::schema::{Time, named_enum};

/// Something that a job waits for.
#[derive(Debug, Clone, Object)]
#[oai(rename = "WaitReason")]
pub(in crate::web) struct WaitingFor {
    /// What it is: `queue_paused`; `no_worker` or `no_scheduler` (none is alive); `not_due`; `retry` (the last attempt failed, the
    /// next one is due later); `limit` (a job that must not run at the same time is running); `isolation` (its worker died, so
    /// that it runs again alone in a process); `urgent_jobs` (they start first); `free_slot` (nothing else); of a running job
    /// `rescue` (its worker died, and another one takes it over), `login_pause` or `rate_limit` of the provider.
    code: WaitCode,
    /// The same as a sentence, with the reason or the error.
    message: String,
    /// The job that has to end first, with `limit`.
    job_id: Option<Uuid>,
    /// Since when (`queue_paused`, `rescue`), or until when (`not_due`, `retry`, `login_pause`, `rate_limit`).
    at: Option<Time>,
    /// How many jobs come first (`isolation`, `urgent_jobs`); 1000 means at least as many.
    count: Option<u64>,
}

impl WaitingFor {
    pub(in crate::web) fn list(reasons: &[WaitReason], pii_access: PiiAccess) -> Vec<Self> {
        let waiting = reasons.iter().map(|reason| Self {
            code: reason.code(),
            message: pii_access.text(reason.to_string()),
            job_id: reason.job_id().map(|job_id| job_id.0),
            at: reason.at().map(Time),
            count: reason.count(),
        });
        waiting.collect()
    }
}

impl Example for WaitingFor {
    fn example() -> Self {
        let at = EXAMPLE_TIME + chrono::Duration::seconds(8);
        let reason = WaitReason::Retry { at, error: "vima answered 503".to_owned() };
        Self { code: reason.code(), message: reason.to_string(), job_id: None, at: Some(Time(at)), count: None }
    }
}

named_enum!(WaitCode, "WaitCode", WaitCode::ALL, "What a job waits for.");
