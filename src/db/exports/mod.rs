//! Exports: the specification of each file and its result. [`pieces`] stores the bytes if there is no other file store.

pub mod pieces;
pub mod usage;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::DbError;
use super::types::{read_name, to_bigint};
use crate::domain::access::{FileAudience, KeyId, Principal, ProjectScope, Role};
use crate::domain::job::{JobId, JobState};

#[derive(Debug)]
pub struct NewExport<'a> {
    pub id: Uuid,
    /// The job that writes the file.
    pub job_id: JobId,
    /// What is exported.
    pub name: &'static str,
    pub format: &'static str,
    pub spec: &'a Value,
    pub by: &'a Principal,
    pub file_name: &'a str,
}

pub async fn insert(connection: &mut PgConnection, export: &NewExport<'_>, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO exports (id, job_id, name, format, wanted, requested_by, role, file_name, created_at,
                                requested_by_key, projects)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
        export.id,
        export.job_id.0,
        export.name,
        export.format,
        export.spec,
        export.by.name,
        export.by.role.as_str(),
        export.file_name,
        now,
        export.by.key_id.0,
        export.by.scope.projects()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Assigns the export to a job, because a failed job may be retried as a new one. Returns the specification, or `None` if there is
/// no such export.
pub async fn assign_job(pool: &PgPool, id: Uuid, job_id: JobId) -> Result<Option<Value>, DbError> {
    let spec = sqlx::query_scalar!("UPDATE exports SET job_id = $2 WHERE id = $1 RETURNING wanted", id, job_id.0);
    Ok(spec.fetch_optional(pool).await?)
}

/// The size of a complete file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportSize {
    pub rows: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedExport {
    /// The name in the file store.
    pub stored_as: String,
    pub size: ExportSize,
    pub expires_at: DateTime<Utc>,
}

/// The size of the export, if this job has finished it. The file may have been deleted since.
pub async fn find_finished(pool: &PgPool, id: Uuid, job_id: JobId) -> Result<Option<ExportSize>, DbError> {
    let row = sqlx::query!(
        r#"SELECT rows AS "rows!", bytes AS "bytes!" FROM exports
            WHERE id = $1 AND job_id = $2 AND finished_at IS NOT NULL"#,
        id,
        job_id.0
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| ExportSize { rows: row.rows.unsigned_abs(), bytes: row.bytes.unsigned_abs() }))
}

/// Records the complete file.
pub async fn finish(
    connection: &mut PgConnection,
    id: Uuid,
    finished: &FinishedExport,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE exports SET finished_at = $2, expires_at = $3, rows = $4, bytes = $5, stored_as = $6 WHERE id = $1",
        id,
        now,
        finished.expires_at,
        to_bigint(finished.size.rows),
        to_bigint(finished.size.bytes),
        finished.stored_as
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    pub id: Uuid,
    pub job_id: JobId,
    pub name: String,
    pub format: String,
    /// The name of the requester.
    pub requested_by: String,
    /// `None` if it was requested before exports were recorded with a key id.
    pub requested_by_key: Option<KeyId>,
    /// From the role and the scope of the requester at that time.
    pub audience: FileAudience,
    pub file_name: String,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub rows: Option<i64>,
    pub bytes: Option<i64>,
    /// The name in the file store; `None` before the file is complete and after it was removed.
    pub stored_as: Option<String>,
    /// The state of the job; `None` after the job was deleted.
    pub state: Option<JobState>,
    /// Of the job.
    pub progress: Option<Value>,
    /// Of the job.
    pub error: Option<String>,
}

pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Export>, DbError> {
    let row = sqlx::query!(
        r#"SELECT exports.id, job_id, name, format, exports.requested_by, requested_by_key, role, projects, file_name, exports.created_at,
                  exports.finished_at, expires_at, rows, bytes, stored_as, jobs.state AS "state?",
                  jobs.progress AS "progress?", jobs.error AS "error?"
             FROM exports LEFT JOIN jobs ON jobs.id = exports.job_id
            WHERE exports.id = $1"#,
        id
    )
    .fetch_optional(executor)
    .await?;
    row.map(|row| {
        Ok(Export {
            id: row.id,
            job_id: JobId(row.job_id),
            name: row.name,
            format: row.format,
            requested_by: row.requested_by,
            requested_by_key: row.requested_by_key.map(KeyId),
            audience: FileAudience {
                role: read_name("exports.role", row.role, Role::from_name)?,
                scope: ProjectScope::new(row.projects),
            },
            file_name: row.file_name,
            created_at: row.created_at,
            finished_at: row.finished_at,
            expires_at: row.expires_at,
            rows: row.rows,
            bytes: row.bytes,
            stored_as: row.stored_as,
            state: row.state.map(JobState::try_from).transpose()?,
            progress: row.progress,
            error: row.error,
        })
    })
    .transpose()
}

/// Records that the file was removed.
pub async fn clear_file(executor: impl PgExecutor<'_>, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("UPDATE exports SET stored_as = NULL WHERE id = $1", id).execute(executor).await?;
    Ok(())
}

/// Deletes at most `limit` exports requested before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        "DELETE FROM exports WHERE id IN (SELECT id FROM exports WHERE created_at < $1 LIMIT $2)",
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
