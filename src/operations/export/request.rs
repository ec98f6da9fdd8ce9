//! Requests an export that a job makes, once per `Idempotency-Key`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::spec::ExportSpec;
use crate::db::DbError;
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::exports::{self, NewExport, usage};
use crate::db::jobs;
use crate::domain::export_quota::{ExportQuota, QuotaExceeded};
use crate::domain::job::{EXPORT, JobId, NewJob, Trigger};
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::enqueue_job::send_wakeup;
use crate::operations::idempotency::{IdempotencyError, IdempotentStart, start_idempotent};
use crate::redis::Redis;

/// The arguments of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportArgs {
    pub export_id: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedExport {
    pub id: Uuid,
    pub job_id: JobId,
}

#[derive(Debug, thiserror::Error)]
pub enum RequestExportError {
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
}

/// Why an export was not ordered.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<OrderError> for RequestExportError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Quota(error) => Self::Quota(error),
            OrderError::Db(error) => error.into(),
        }
    }
}

impl From<DbError> for RequestExportError {
    fn from(error: DbError) -> Self {
        Self::Idempotency(error.into())
    }
}

/// Enqueues an export for a request of the API.
pub async fn request_export(
    pool: &PgPool,
    redis: &Redis,
    spec: &ExportSpec,
    audit: &AuditContext,
    quota: &ExportQuota,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<RequestedExport, RequestExportError> {
    let mut work = match start_idempotent(pool, idempotent, now).await? {
        IdempotentStart::Answered(requested) => return Ok(requested),
        IdempotentStart::New(work) => work,
    };
    let requested = insert_order(work.connection(), Uuid::now_v7(), spec, Trigger::Api, audit, quota, now).await?;
    work.commit(&requested).await?;
    send_wakeup(redis, EXPORT.queue, requested.job_id).await;
    Ok(requested)
}

/// Inserts export `id` and its job, unless its key, or all keys together, have ordered as much as `quota` allows. Equal specs are not
/// joined: each export shows the data of the moment at which it runs. The last statement of a transaction, because it appends to the
/// audit log.
pub(in crate::operations) async fn insert_order(
    connection: &mut PgConnection,
    id: Uuid,
    spec: &ExportSpec,
    trigger: Trigger,
    audit: &AuditContext,
    quota: &ExportQuota,
    now: DateTime<Utc>,
) -> Result<RequestedExport, OrderError> {
    let key_id = spec.requested_by.key_id;
    quota.check(usage::lock(connection, key_id, now).await?)?;
    if quota.rows_limit > 0 {
        quota.check_rows(usage::get_rows(&mut *connection, key_id, now.date_naive()).await?)?;
    }
    let job = NewJob {
        requested_by: Some(spec.requested_by.name.clone()),
        ..NewJob::with_args(&EXPORT, json!(ExportArgs { export_id: id }), trigger)
    };
    let job_id = jobs::insert_or_join(connection, &job).await?.job_id;
    let export = NewExport {
        id,
        job_id,
        name: spec.name(),
        format: spec.options.format.as_str(),
        spec: &json!(spec),
        by: &spec.requested_by,
        file_name: &spec.file_name(),
    };
    exports::insert(connection, &export, now).await?;
    let requested = RequestedExport { id, job_id };
    // Without an outcome: the job adds it.
    let record = AuditRecord { details: spec.describe(), after: Some(json!(requested)), ..AuditRecord::default() };
    audit.append_as(connection, id, &record, now).await?;
    Ok(requested)
}
