//! Requests an export that a job makes, once per `Idempotency-Key`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
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

impl From<DbError> for RequestExportError {
    fn from(error: DbError) -> Self {
        Self::Idempotency(error.into())
    }
}

/// Enqueues an export, unless its key, or all keys together, have ordered as much as `quota` allows. Equal specs are not joined:
/// each export shows the data of the moment at which it runs.
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
    let key_id = spec.requested_by.key_id;
    quota.check(usage::lock(work.connection(), key_id, now).await?)?;
    if quota.rows_limit > 0 {
        quota.check_rows(usage::get_rows(work.connection(), key_id, now.date_naive()).await?)?;
    }
    let id = Uuid::now_v7();
    let job = NewJob {
        requested_by: Some(spec.requested_by.name.clone()),
        ..NewJob::with_args(&EXPORT, json!(ExportArgs { export_id: id }), Trigger::Api)
    };
    let job_id = jobs::insert_or_join(work.connection(), &job).await?.job_id;
    let export = NewExport {
        id,
        job_id,
        name: spec.name(),
        format: spec.options.format.as_str(),
        spec: &json!(spec),
        by: &spec.requested_by,
        file_name: &spec.file_name(),
    };
    exports::insert(work.connection(), &export, now).await?;
    let requested = RequestedExport { id, job_id };
    // Without an outcome: the job adds it.
    let record = AuditRecord { details: spec.describe(), after: Some(json!(requested)), ..AuditRecord::default() };
    audit.append_as(work.connection(), id, &record, now).await?;
    work.commit(&requested).await?;
    send_wakeup(redis, job.kind.queue, job_id).await;
    Ok(requested)
}
