//! Gives a file that a job made to whoever may see it, or takes it away.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::UNAUDITED_ROWS;
use super::store::{ExportFiles, FileError};
use crate::db::DbError;
use crate::db::access::audit;
use crate::db::access::audit::NewAuditEntry;
use crate::db::exports::{self, Export};
use crate::domain::access::{Principal, Role};
use crate::operations::cancel_job::{CancelError, cancel_job};

/// Why somebody does not get a file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody asked for it, or that is long ago.
    #[error("there is no such export")]
    NotFound,
    /// It shows what they may not see, or is not theirs.
    #[error("{0}")]
    Forbidden(&'static str),
    /// It is not whole yet, or there no more.
    #[error("{0}")]
    NotThere(&'static str),
    /// It cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<DbError> for OpenError {
    fn from(error: DbError) -> Self {
        Self::File(error.into())
    }
}

/// A file that is there.
#[derive(Debug)]
pub struct Opened {
    /// What is known of it.
    pub export: Export,
    /// Its name at its store.
    pub stored_as: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
}

/// What is known of an export, for `by`, who must be allowed to see as much as whoever asked for it.
///
/// # Errors
/// [`OpenError`] where they may not, or there is none.
pub async fn find_export(pool: &PgPool, by: &Principal, id: Uuid) -> Result<Export, OpenError> {
    let export = exports::find(pool, id).await?.ok_or(OpenError::NotFound)?;
    if by.role < export.role {
        let needed = "the file was made for a role that may see more than yours: export it again with your own key";
        return Err(OpenError::Forbidden(needed));
    }
    Ok(export)
}

/// The file of an export.
///
/// # Errors
/// [`OpenError`] where `by` does not get it.
pub async fn open_export(pool: &PgPool, by: &Principal, id: Uuid, now: DateTime<Utc>) -> Result<Opened, OpenError> {
    let export = find_export(pool, by, id).await?;
    if export.finished_at.is_none() {
        return Err(OpenError::NotThere("the file is not ready: GET /api/v1/exports/{id} says how far it has come"));
    }
    let gone = OpenError::NotThere("the file was kept for 24 hours, or removed: ask for the export again");
    let is_kept = export.expires_at.is_some_and(|expires_at| now < expires_at);
    let Some(stored_as) = export.stored_as.clone().filter(|_| is_kept) else { return Err(gone) };
    let [bytes, rows] = [export.bytes, export.rows].map(|count| count.unwrap_or_default().unsigned_abs());
    Ok(Opened { export, stored_as, bytes, rows })
}

/// Notes that `by` takes a file out, where it is one that has to be noted.
///
/// # Errors
/// [`DbError`] where the database refuses: then it must not leave.
pub async fn note_download(pool: &PgPool, by: &Principal, opened: &Opened, now: DateTime<Utc>) -> Result<(), DbError> {
    if opened.rows <= UNAUDITED_ROWS {
        return Ok(());
    }
    let export = &opened.export;
    let details = json!({"export": export.name, "format": export.format, "export_id": export.id});
    let entry = audit::insert(pool, &NewAuditEntry { by, action: "download", details: &details }, now).await?;
    audit::finish(pool, entry, opened.rows, "sent", now).await
}

/// Cancels the job of an export that is not ready, and deletes its file: for whoever asked for it, and operators.
///
/// # Errors
/// [`OpenError`] where `by` may not.
pub async fn remove_export(pool: &PgPool, files: &ExportFiles, by: &Principal, id: Uuid) -> Result<Export, OpenError> {
    let export = find_export(pool, by, id).await?;
    if by.name != export.requested_by && by.role < Role::Operator {
        return Err(OpenError::Forbidden("somebody else asked for this file: it takes the role operator to remove it"));
    }
    match cancel_job(pool, export.job_id, &by.name).await {
        Ok(_) | Err(CancelError::NotFound | CancelError::Finished(_)) => {}
        Err(CancelError::Db(error)) => return Err(error.into()),
    }
    if let Some(stored_as) = &export.stored_as {
        exports::clear_file(pool, id).await?;
        files.delete(stored_as).await?;
    }
    exports::find(pool, id).await?.ok_or(OpenError::NotFound)
}
