//! Why an attempt failed, and whether the job is retried.
//!
//! This is the only place that decides about retries, by the type of the error: a handler only returns what happened.

use std::time::Duration;

use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::{ClaimedJob, Outcome};
use psp_dashboard::domain::reconciliation::tally::TallyMismatch;
use psp_dashboard::operations::alerts::DeliveryError;
use psp_dashboard::operations::bulk_actions::run::BulkRunError;
use psp_dashboard::operations::export::exporter::ExportError;
use psp_dashboard::operations::export::lines::StreamError;
use psp_dashboard::operations::export::run::ExportRunError;
use psp_dashboard::operations::export::store::ExportStoreError;
use psp_dashboard::operations::reconcile_day::ReconcileError;
use psp_dashboard::operations::reports::ReportDeliveryError;
use psp_dashboard::providers::{ProviderError, Retry};

/// How long a job waits when PostgreSQL is unavailable.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Reconciliation(#[from] TallyMismatch),
    #[error("the job's arguments are invalid ({0}): enqueue it again with the arguments that its kind takes")]
    Arguments(serde_json::Error),
    #[error("the job was stopped after {} s, the timeout of its kind", .0.as_secs())]
    TimedOut(Duration),
    #[error(transparent)]
    Export(ExportRunError),
    /// The store of exported files failed.
    #[error(transparent)]
    ExportStore(ExportStoreError),
    /// A message about an alert was not sent.
    #[error(transparent)]
    Notification(DeliveryError),
    #[error(transparent)]
    Report(ReportDeliveryError),
    #[error(transparent)]
    BulkAction(BulkRunError),
    #[error("the job panicked ({0}): this is a bug, please report it")]
    Panicked(String),
    #[error("no worker of this release knows jobs of kind {0}: deploy a release that does, or cancel the job")]
    UnknownKind(String),
}

impl JobError {
    fn retry(&self) -> Retry {
        match self {
            Self::Provider(error) => error.retry(),
            Self::Database(DbError::Unavailable(_)) => Retry::After(DATABASE_PAUSE),
            Self::Notification(DeliveryError::Limited(wait)) => Retry::After(*wait),
            Self::Report(error) if error.is_final() => Retry::Never,
            Self::Export(
                ExportRunError::NotFound(_)
                | ExportRunError::Spec(_)
                | ExportRunError::KeyEnded(_)
                | ExportRunError::Export(ExportError::Columns(_)),
            )
            | Self::Reconciliation(_)
            | Self::BulkAction(_)
            | Self::Notification(DeliveryError::Refused(_))
            | Self::Arguments(_)
            | Self::UnknownKind(_) => Retry::Never,
            // A channel that is not configured here may be at another worker.
            Self::Database(_)
            | Self::Export(_)
            | Self::ExportStore(_)
            | Self::Notification(_)
            | Self::Report(_)
            | Self::TimedOut(_)
            | Self::Panicked(_) => Retry::WithBackoff,
        }
    }

    /// The outcome of an attempt that ended with this error; `chance` (0..1) is the jitter of the backoff. `None` if the
    /// claim is lost: the job then belongs to another worker.
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

impl From<DeliveryError> for JobError {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Db(error) => Self::Database(error),
            error => Self::Notification(error),
        }
    }
}

impl From<ReportDeliveryError> for JobError {
    fn from(error: ReportDeliveryError) -> Self {
        match error {
            ReportDeliveryError::Db(error) | ReportDeliveryError::Store(ExportStoreError::Db(error)) => {
                Self::Database(error)
            }
            ReportDeliveryError::Store(error) => Self::ExportStore(error),
            ReportDeliveryError::Sending(error @ DeliveryError::Limited(_)) => Self::Notification(error),
            error => Self::Report(error),
        }
    }
}

impl From<ExportRunError> for JobError {
    fn from(error: ExportRunError) -> Self {
        match error {
            ExportRunError::Export(ExportError::Db(error))
            | ExportRunError::Stream(StreamError::Db(error))
            | ExportRunError::Store(ExportStoreError::Db(error)) => Self::Database(error),
            error => Self::Export(error),
        }
    }
}

impl From<BulkRunError> for JobError {
    fn from(error: BulkRunError) -> Self {
        match error {
            BulkRunError::Db(error) => Self::Database(error),
            error => Self::BulkAction(error),
        }
    }
}

impl From<ExportStoreError> for JobError {
    fn from(error: ExportStoreError) -> Self {
        match error {
            ExportStoreError::Db(error) => Self::Database(error),
            error => Self::ExportStore(error),
        }
    }
}

impl From<ReconcileError> for JobError {
    fn from(error: ReconcileError) -> Self {
        match error {
            ReconcileError::Database(error) => Self::Database(error),
            ReconcileError::TallyMismatch(error) => Self::Reconciliation(error),
        }
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
            due_at: "2026-01-15T00:00:00Z".parse().expect("a time"),
            trace: None,
        }
    }

    #[test]
    fn error_type_decides_outcome() {
        let unavailable =
            || JobError::from(ProviderError::Unavailable { provider: Upstream::Vima, status: 503, retry_after: None });
        let limited = ProviderError::RateLimited { provider: Upstream::Vima, retry_after: Duration::from_secs(9) };
        let database = || JobError::from(DbError::Unavailable(sqlx::Error::PoolTimedOut));
        let refused = ProviderError::Unauthenticated { provider: Upstream::Vima, message: String::new() };
        for (error, attempt, expected) in [
            (unavailable(), 1, "retried"),
            (unavailable(), 7, "retried"),
            (unavailable(), 8, "failed"),
            (limited.clone().into(), 1, "postponed"),
            (limited.into(), 8, "postponed"),
            (database(), 1, "postponed"),
            (database(), 8, "postponed"),
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
    fn rate_limited_job_waits_as_long_as_the_provider_requests() {
        let limited = ProviderError::RateLimited { provider: Upstream::Vima, retry_after: Duration::from_secs(9) };
        let outcome = JobError::from(limited).outcome(&job(3), Some(&SYNC_VIMA), 0.5);
        assert!(matches!(outcome, Some(Outcome::Postponed { after, .. }) if after == Duration::from_secs(9)));
    }

    #[test]
    fn lost_claim_has_no_outcome() {
        assert_eq!(JobError::from(DbError::ClaimLost).outcome(&job(1), Some(&SYNC_VIMA), 0.5), None);
    }
}
