//! Reports that are sent regularly: people manage schedules ([`manage`]); a job turns the times that have come into runs ([`plan`]);
//! other jobs create and deliver them ([`deliver`]).
//!
//! A run and its job are one transaction under the lock of the schedule, with a unique key of schedule and time, so that each time is
//! sent once, whichever process dies. The file of a report is an ordinary export: the job orders it and ends, and the export, when it
//! is finished, enqueues the job again. Rejected: a job that waits for the export, which would take a slot of the worker for hours.

pub mod deliver;
pub mod digest;
mod files;
pub mod manage;
pub mod plan;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::reports::runs::{self, NewRun};
use crate::db::{DbError, jobs};
use crate::domain::access::key::KeyEnd;
use crate::domain::entity_tag::PreconditionFailed;
use crate::domain::export_quota::QuotaExceeded;
use crate::domain::job::{JobId, NewJob, Trigger};
use crate::operations::alerts::DeliveryError;
use crate::operations::export::open::OpenError;
use crate::operations::export::request::OrderError;
use crate::operations::export::store::ExportStoreError;

/// Why an action of a person was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("there is no such report schedule")]
    NotFound,
    #[error("the schedule belongs to a key with a higher role: ask its owner, or use such a key")]
    OwnerHasHigherRole,
    #[error("there are {0} report schedules already: delete those that are not needed")]
    TooMany(u64),
    #[error("there is no such webhook")]
    NoWebhook,
    #[error("the owner's access has ended ({0}): change the schedule with take_over = true and a valid key")]
    OwnerEnded(KeyEnd),
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Why a report was not delivered. Without secrets.
#[derive(Debug, thiserror::Error)]
pub enum ReportDeliveryError {
    #[error("the owner's access has ended ({0}): change the schedule with take_over = true and a valid key")]
    OwnerEnded(KeyEnd),
    #[error("the webhook of the schedule no longer exists: change the schedule")]
    NoWebhook,
    #[error("the webhook of the schedule is disabled: enable it, then retry the job")]
    WebhookDisabled,
    #[error("{0} is not among REPORT_EMAIL_ALLOWED of this worker: add it there, or change the schedule")]
    NotAllowed(String),
    #[error("EXPORT_STORE of this worker is database, which keeps no reports: set it to a bucket or a folder")]
    NoObjectStore,
    #[error("the file of the report cannot be read ({0}): run the schedule again")]
    NoFile(OpenError),
    /// It was stored by another release.
    #[error("the stored specification of the export is unreadable ({0}): change the schedule")]
    Spec(#[from] serde_json::Error),
    #[error(transparent)]
    Quota(QuotaExceeded),
    #[error(transparent)]
    Sending(DeliveryError),
    #[error(transparent)]
    Store(#[from] ExportStoreError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl ReportDeliveryError {
    /// Whether another attempt can succeed without a person.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::OwnerEnded(_)
            | Self::NoWebhook
            | Self::WebhookDisabled
            | Self::NotAllowed(_)
            | Self::NoFile(_)
            | Self::Spec(_)
            | Self::Sending(DeliveryError::Refused(_)) => true,
            // What is not configured here may be at another worker.
            Self::NoObjectStore | Self::Quota(_) | Self::Sending(_) | Self::Store(_) | Self::Db(_) => false,
        }
    }
}

impl From<OrderError> for ReportDeliveryError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Quota(error) => Self::Quota(error),
            OrderError::Db(error) => Self::Db(error),
        }
    }
}

/// Inserts a run and its job.
async fn insert_run(
    connection: &mut PgConnection,
    schedule_id: Uuid,
    due_at: DateTime<Utc>,
    requested_by: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(Uuid, JobId), DbError> {
    let id = Uuid::now_v7();
    let trigger = if requested_by.is_some() { Trigger::Api } else { Trigger::Schedule };
    let job = NewJob { requested_by: requested_by.map(str::to_owned), ..NewJob::deliver_report(id, trigger) };
    let job_id = jobs::insert_or_join(connection, &job).await?.job_id;
    runs::insert(connection, &NewRun { id, schedule_id, due_at, requested_by, job_id }, now).await?;
    Ok((id, job_id))
}
