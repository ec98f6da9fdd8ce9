//! Files that a job makes: what is wanted, and what came of it ([`pieces`] keeps the bytes where no other store does).

pub mod pieces;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::DbError;
use super::types::read_name;
use super::types::to_bigint;
use crate::domain::access::{Principal, Role};
use crate::domain::job::{JobId, JobState};

/// A file that is to be made.
#[derive(Debug)]
pub struct NewExport<'a> {
    /// Its id.
    pub id: Uuid,
    /// The job that makes it.
    pub job_id: JobId,
    /// What is exported.
    pub name: &'static str,
    /// The kind of file.
    pub format: &'static str,
    /// What exactly, for the job.
    pub spec: &'a Value,
    /// Who asked for it.
    pub by: &'a Principal,
    /// What the file is called.
    pub file_name: &'a str,
}

/// Writes down that a file is to be made.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn insert(connection: &mut PgConnection, export: &NewExport<'_>, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO exports (id, job_id, name, format, wanted, requested_by, role, file_name, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"#,
        export.id,
        export.job_id.0,
        export.name,
        export.format,
        export.spec,
        export.by.name,
        export.by.role.as_str(),
        export.file_name,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that this job makes the file of this id, and says what is wanted of it, if there is one: a person may have had a job
/// that failed done again by another.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn assign_job(pool: &PgPool, id: Uuid, job_id: JobId) -> Result<Option<Value>, DbError> {
    let wanted = sqlx::query_scalar!("UPDATE exports SET job_id = $2 WHERE id = $1 RETURNING wanted", id, job_id.0);
    Ok(wanted.fetch_optional(pool).await?)
}

/// A file that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedExport {
    /// Its name at its store.
    pub stored_as: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// Until when it is kept.
    pub expires_at: DateTime<Utc>,
}

/// Writes down that a file is whole.
///
/// # Errors
/// [`DbError`] where the database refuses.
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
        to_bigint(finished.rows),
        to_bigint(finished.bytes),
        finished.stored_as
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A file that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// Its id.
    pub id: Uuid,
    /// The job that makes it.
    pub job_id: JobId,
    /// What is exported.
    pub name: String,
    /// The kind of file.
    pub format: String,
    /// Who asked for it.
    pub requested_by: String,
    /// What they might see.
    pub role: Role,
    /// What the file is called.
    pub file_name: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was whole.
    pub finished_at: Option<DateTime<Utc>>,
    /// Until when it is kept.
    pub expires_at: Option<DateTime<Utc>>,
    /// How many rows it has.
    pub rows: Option<i64>,
    /// How many bytes it has.
    pub bytes: Option<i64>,
    /// Its name at its store; none before it is whole, and once it was removed.
    pub stored_as: Option<String>,
    /// Where its job stands; none once that is forgotten.
    pub state: Option<JobState>,
    /// How far the job has come.
    pub progress: Option<Value>,
    /// Why the job failed.
    pub error: Option<String>,
}

/// The file of this id, if there is one.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Export>, DbError> {
    let row = sqlx::query!(
        r#"SELECT exports.id, job_id, name, format, exports.requested_by, role, file_name, exports.created_at,
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
            role: read_name("exports.role", row.role, Role::from_name)?,
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

/// Writes down that the file of this id is there no more.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn clear_file(pool: &PgPool, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("UPDATE exports SET stored_as = NULL WHERE id = $1", id).execute(pool).await?;
    Ok(())
}

/// Forgets what was asked for before `time`, and says how much that was.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>) -> Result<u64, DbError> {
    Ok(sqlx::query!("DELETE FROM exports WHERE created_at < $1", time).execute(pool).await?.rows_affected())
}
