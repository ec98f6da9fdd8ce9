//! What a handler is, how handlers are found, and what becomes of their errors.
//!
//! The decision to try again is made here, once, by the type of the error: a handler only says what happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::{ClaimedJob, Outcome};
use psp_dashboard::domain::reconciliation::tally::TallyMismatch;
use psp_dashboard::operations::export::exporter::ExportError;
use psp_dashboard::operations::export::lines::StreamError;
use psp_dashboard::operations::export::run::ExportRunError;
use psp_dashboard::operations::export::store::ExportStoreError;
use psp_dashboard::operations::reconcile_day::ReconcileError;
use psp_dashboard::providers::{ProviderError, Retry};
use serde_json::Value;

/// How long a job waits when PostgreSQL is away.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// Runs jobs of one kind.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does the job, and says what came of it. Dropping the future stops it: it must leave nothing half-written.
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError>;
}

/// Why a job did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The provider did not give what it was asked for.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The database did not take it.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The day was not reconciled.
    #[error(transparent)]
    Unreconciled(#[from] TallyMismatch),
    /// Its row says something that its handler does not understand.
    #[error("the job's arguments cannot be read ({0}): enqueue it again with the arguments that its kind takes")]
    Arguments(#[from] serde_json::Error),
    /// It took too long.
    #[error("the job was stopped after {} s, the most that its kind may take", .0.as_secs())]
    TimedOut(Duration),
    /// The file was not made.
    #[error(transparent)]
    Unmade(ExportRunError),
    /// Files cannot be cleared away.
    #[error(transparent)]
    Files(ExportStoreError),
    /// It has a fault.
    #[error("the job panicked ({0}): this is a fault of the program, please report it")]
    Panicked(String),
    /// Nobody here knows its kind.
    #[error("no worker of this release knows jobs of kind {0}: deploy one that does, or cancel the job")]
    UnknownKind(String),
}

impl JobError {
    fn retry(&self) -> Retry {
        match self {
            Self::Provider(error) => error.retry(),
            Self::Database(DbError::Unavailable(_)) => Retry::After(DATABASE_PAUSE),
            Self::Unmade(
                ExportRunError::NotFound(_) | ExportRunError::Spec(_) | ExportRunError::Export(ExportError::Columns(_)),
            )
            | Self::Unreconciled(_)
            | Self::Arguments(_)
            | Self::UnknownKind(_) => Retry::Never,
            Self::Database(_) | Self::Unmade(_) | Self::Files(_) | Self::TimedOut(_) | Self::Panicked(_) => {
                Retry::WithBackoff
            }
        }
    }

    /// What becomes of the job after this error, where `chance` is in 0..1; none where it is no longer ours to decide.
    #[must_use]
    pub fn outcome(&self, job: &ClaimedJob, kind: Option<&JobKind>, chance: f64) -> Option<Outcome> {
        let error = self.to_string();
        let exhausted = job.attempt >= job.max_attempts;
        Some(match (self, self.retry(), kind) {
            (Self::Database(DbError::ClaimLost), _, _) => return None,
            (_, Retry::Never, _) | (_, _, None) => Outcome::Failed(error),
            (_, Retry::After(after), Some(_)) => Outcome::Postponed { error, after },
            (_, Retry::WithBackoff, Some(_)) if exhausted => {
                Outcome::Failed(format!("{error} (after {} attempts)", job.attempt))
            }
            (_, Retry::WithBackoff, Some(kind)) => {
                Outcome::Retry { error, after: kind.backoff.delay(job.attempt, chance) }
            }
        })
    }
}

impl From<ExportRunError> for JobError {
    fn from(error: ExportRunError) -> Self {
        match error {
            ExportRunError::Export(ExportError::Db(error))
            | ExportRunError::Stream(StreamError::Db(error))
            | ExportRunError::Store(ExportStoreError::Db(error)) => Self::Database(error),
            error => Self::Unmade(error),
        }
    }
}

impl From<ExportStoreError> for JobError {
    fn from(error: ExportStoreError) -> Self {
        match error {
            ExportStoreError::Db(error) => Self::Database(error),
            error => Self::Files(error),
        }
    }
}

impl From<ReconcileError> for JobError {
    fn from(error: ReconcileError) -> Self {
        match error {
            ReconcileError::Database(error) => Self::Database(error),
            ReconcileError::TallyMismatch(error) => Self::Unreconciled(error),
        }
    }
}

/// The handlers of a process, by the names of their kinds.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, (&'static JobKind, Arc<dyn Handler>)>);

impl Registry {
    /// Adds a kind and its handler.
    #[must_use]
    pub fn with(mut self, kind: &'static JobKind, handler: impl Handler) -> Self {
        self.0.insert(kind.name, (kind, Arc::new(handler)));
        self
    }

    /// The kind of this name and its handler.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&'static JobKind, Arc<dyn Handler>)> {
        self.0.get(name).map(|(kind, handler)| (*kind, Arc::clone(handler)))
    }

    /// The queues of all kinds, each once.
    #[must_use]
    pub fn queues(&self) -> Vec<String> {
        let queues: std::collections::BTreeSet<&str> = self.0.values().map(|(kind, _)| kind.queue).collect();
        queues.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psp_dashboard::domain::job::{Claim, JobId, SYNC_VIMA, Trigger};
    use psp_dashboard::providers::Upstream;

    fn job(attempt: u32) -> ClaimedJob {
        ClaimedJob {
            claim: Claim { job_id: JobId(uuid::Uuid::nil()), epoch: 1 },
            kind: SYNC_VIMA.name.to_owned(),
            args: serde_json::json!({"mode": "incremental"}),
            checkpoint: None,
            trigger: Trigger::Api,
            attempt,
            max_attempts: 8,
            created_at: "2026-01-15T00:00:00Z".parse().expect("a time"),
        }
    }

    #[test]
    fn the_error_decides() {
        let unavailable = || JobError::from(ProviderError::Unavailable { provider: Upstream::Vima, status: 503 });
        let limited = ProviderError::RateLimited { provider: Upstream::Vima, retry_after: Duration::from_secs(9) };
        let away = || JobError::from(DbError::Unavailable(sqlx::Error::PoolTimedOut));
        let refused = ProviderError::Unauthenticated { provider: Upstream::Vima, message: String::new() };
        for (error, attempt, expected) in [
            (unavailable(), 1, "retried"),
            (unavailable(), 7, "retried"),
            (unavailable(), 8, "failed"),
            (limited.clone().into(), 1, "postponed"),
            (limited.into(), 8, "postponed"),
            (away(), 1, "postponed"),
            (away(), 8, "postponed"),
            (refused.into(), 1, "failed"),
            (JobError::TimedOut(Duration::from_secs(1)), 1, "retried"),
            (JobError::Panicked("oh".to_owned()), 1, "retried"),
            (JobError::UnknownKind("x".to_owned()), 1, "failed"),
        ] {
            let outcome = error.outcome(&job(attempt), Some(&SYNC_VIMA), 0.5).expect("an outcome");
            assert_eq!(outcome.name(), expected, "{error}");
        }
    }

    #[test]
    fn a_provider_that_asks_for_patience_gets_it() {
        let limited = ProviderError::RateLimited { provider: Upstream::Vima, retry_after: Duration::from_secs(9) };
        let outcome = JobError::from(limited).outcome(&job(3), Some(&SYNC_VIMA), 0.5);
        assert!(matches!(outcome, Some(Outcome::Postponed { after, .. }) if after == Duration::from_secs(9)));
    }

    #[test]
    fn a_lost_claim_is_not_ours_to_decide() {
        assert_eq!(JobError::from(DbError::ClaimLost).outcome(&job(1), Some(&SYNC_VIMA), 0.5), None);
    }
}
