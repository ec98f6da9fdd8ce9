//! Opens and removes the files of requested exports, for users who may see them.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::audit::UNAUDITED_ROWS;
use super::store::{ExportStore, ExportStoreError};
use crate::db::DbError;
use crate::db::access::audit;
use crate::db::access::audit::NewAuditEntry;
use crate::db::exports::{self, Export};
use crate::domain::access::{Principal, Role};
use crate::operations::cancel_job::{CancelError, cancel_job};

#[derive(Debug, thiserror::Error)]
pub enum ExportAccessError {
    #[error("there is no such export")]
    NotFound,
    /// The user may not see the file, or may not remove someone else's.
    #[error("{0}")]
    Forbidden(&'static str),
    #[error(transparent)]
    Store(#[from] ExportStoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Access(#[from] ExportAccessError),
    /// The file is not complete yet, or no longer stored.
    #[error("{0}")]
    NotAvailable(&'static str),
}

impl From<DbError> for ExportAccessError {
    fn from(error: DbError) -> Self {
        Self::Store(error.into())
    }
}

/// A file that can be downloaded.
#[derive(Debug)]
pub struct OpenedExport {
    pub export: Export,
    /// The name of the file in the store.
    pub stored_as: String,
    pub bytes: u64,
    pub rows: u64,
}

/// Finds an export. `by` must have at least the role of the user who requested it, because the role decides how personal
/// data is shown.
pub async fn find_export(pool: &PgPool, by: &Principal, id: Uuid) -> Result<Export, ExportAccessError> {
    let export = exports::find(pool, id).await?.ok_or(ExportAccessError::NotFound)?;
    if by.role < export.role {
        let detail = "the file was made for a role that may see more than yours: export it again with your own key";
        return Err(ExportAccessError::Forbidden(detail));
    }
    Ok(export)
}

/// Finds the file of an export.
pub async fn open_export(
    pool: &PgPool,
    by: &Principal,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<OpenedExport, OpenError> {
    let export = find_export(pool, by, id).await?;
    if export.finished_at.is_none() {
        return Err(OpenError::NotAvailable("the file is not ready: GET /api/v1/exports/{id} shows the progress"));
    }
    let expired =
        OpenError::NotAvailable("the file has expired after 24 hours, or was removed: request the export again");
    let is_stored = export.expires_at.is_some_and(|expires_at| now < expires_at);
    let Some(stored_as) = export.stored_as.clone().filter(|_| is_stored) else { return Err(expired) };
    let [bytes, rows] = [export.bytes, export.rows].map(|count| count.unwrap_or_default().unsigned_abs());
    Ok(OpenedExport { export, stored_as, bytes, rows })
}

/// Records that `by` downloads a file, if it is large enough to be audited. If this fails, the file must not be sent.
pub async fn audit_download(
    pool: &PgPool,
    by: &Principal,
    opened: &OpenedExport,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if opened.rows <= UNAUDITED_ROWS {
        return Ok(());
    }
    let export = &opened.export;
    let details = json!({"export": export.name, "format": export.format, "export_id": export.id});
    let entry = audit::insert(pool, &NewAuditEntry { by, action: "download", details: &details }, now).await?;
    audit::finish(pool, entry, opened.rows, "sent", now).await
}

/// Cancels the job of an unfinished export, and deletes the file. Allowed for the user who requested it, and operators.
pub async fn remove_export(
    pool: &PgPool,
    store: &ExportStore,
    by: &Principal,
    id: Uuid,
) -> Result<Export, ExportAccessError> {
    let export = find_export(pool, by, id).await?;
    if by.name != export.requested_by && by.role < Role::Operator {
        return Err(ExportAccessError::Forbidden(
            "another user requested this file: removing it requires the role operator",
        ));
    }
    match cancel_job(pool, export.job_id, &by.name).await {
        Ok(_) | Err(CancelError::NotFound | CancelError::Finished(_)) => {}
        Err(CancelError::Db(error)) => return Err(error.into()),
    }
    if let Some(stored_as) = &export.stored_as {
        exports::clear_file(pool, id).await?;
        store.delete(stored_as).await?;
    }
    exports::find(pool, id).await?.ok_or(ExportAccessError::NotFound)
}
