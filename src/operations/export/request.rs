//! Has a file made by a job because somebody asked for it, once for one `Idempotency-Key`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::spec::ExportSpec;
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::exports::{self, NewExport};
use crate::db::jobs;
use crate::domain::job::{EXPORT, JobId, NewJob, Trigger};
use crate::operations::enqueue_job::send_wakeup;
use crate::operations::idempotency::{Begun, OnceError, begin_once};
use crate::redis::Redis;

/// What the job is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportArgs {
    /// Which export it is to make.
    pub export_id: Uuid,
}

/// A file that will be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedExport {
    /// Its id.
    pub id: Uuid,
    /// By which job.
    pub job_id: JobId,
}

/// Enqueues an export. Two that are asked for are two, though they be alike: each is of the moment it is made at.
///
/// # Errors
/// [`OnceError`] where nothing was enqueued.
pub async fn request_export(
    pool: &PgPool,
    redis: &Redis,
    order: &ExportSpec,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<RequestedExport, OnceError> {
    let mut once = match begin_once(pool, idempotent, now).await? {
        Begun::Answered(requested) => return Ok(requested),
        Begun::New(once) => once,
    };
    let id = Uuid::now_v7();
    let job = NewJob {
        requested_by: Some(order.by.name.clone()),
        ..NewJob::with_args(&EXPORT, json!(ExportArgs { export_id: id }), Trigger::Api)
    };
    let job_id = jobs::insert_or_join(once.connection(), &job).await?.job_id;
    let export = NewExport {
        id,
        job_id,
        name: order.name(),
        format: order.form.format.as_str(),
        spec: &json!(order),
        by: &order.by,
        file_name: &order.file_name(),
    };
    exports::insert(once.connection(), &export, now).await?;
    let requested = RequestedExport { id, job_id };
    once.commit(&requested).await?;
    send_wakeup(redis, job.kind.queue, job_id).await;
    Ok(requested)
}
