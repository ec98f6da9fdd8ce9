//! Opens and removes the files of requested exports, for users who may see them.

use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::audit::UNAUDITED_ROWS;
use super::store::{ExportStore, ExportStoreError};
use crate::db::DbError;
use crate::db::exports::{self, Export};
use crate::domain::access::{KeyId, Principal, Role};
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::cancel_job::{CancelError, cancel};

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
    #[error("the file is not ready: GET /api/v1/exports/{{id}} shows the progress")]
    NotReady,
    #[error("the file has expired after 24 hours, or was removed: request the export again")]
    Removed,
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
/// data is shown, and must see at least the same projects.
pub async fn find_export(pool: &PgPool, by: &Principal, id: Uuid) -> Result<Export, ExportAccessError> {
    let export = exports::find(pool, id).await?;
    let export =
        export.filter(|export| by.scope.includes(&export.audience.scope)).ok_or(ExportAccessError::NotFound)?;
    if by.role < export.audience.role {
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
        return Err(OpenError::NotReady);
    }
    let is_stored = export.expires_at.is_some_and(|expires_at| now < expires_at);
    let Some(stored_as) = export.stored_as.clone().filter(|_| is_stored) else { return Err(OpenError::Removed) };
    let [bytes, rows] = [export.bytes, export.rows].map(|count| count.unwrap_or_default().unsigned_abs());
    Ok(OpenedExport { export, stored_as, bytes, rows })
}

/// Records that a file is downloaded, if it is large enough to be audited: once per key and file, whichever parts of it are
/// requested. If this fails, the file must not be sent.
pub async fn audit_download(
    pool: &PgPool,
    audit: &AuditContext,
    opened: &OpenedExport,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if opened.rows <= UNAUDITED_ROWS {
        return Ok(());
    }
    let OpenedExport { export, stored_as, rows, .. } = opened;
    let details = json!({"export": export.name, "format": export.format, "export_id": export.id});
    let record = AuditRecord { details, rows: Some(*rows), outcome: Some("sent"), ..AuditRecord::default() };
    audit.record_once(pool, download_id(audit.principal.key_id, stored_as), &record, now).await
}

/// The same for each download of a file by a key.
fn download_id(key_id: KeyId, stored_as: &str) -> Uuid {
    let digest = Sha256::new().chain_update(key_id.0.as_bytes()).chain_update(stored_as).finalize();
    KeyId::of_digest(&digest.into()).0
}

/// Cancels the job of an unfinished export, and deletes the file. Allowed for the user who requested it, and operators.
pub async fn remove_export(
    pool: &PgPool,
    store: &ExportStore,
    audit: &AuditContext,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Export, ExportAccessError> {
    let by = &audit.principal;
    let export = find_export(pool, by, id).await?;
    if export.requested_by_key != Some(by.key_id) && by.role < Role::Operator {
        return Err(ExportAccessError::Forbidden(
            "another user requested this file: removing it requires the role operator",
        ));
    }
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let cancelled = match cancel(&mut transaction, export.job_id, &by.name).await {
        Ok(_) => true,
        Err(CancelError::NotFound | CancelError::Finished(_)) => false,
        Err(CancelError::Db(error)) => return Err(error.into()),
    };
    exports::clear_file(&mut *transaction, id).await?;
    let record = AuditRecord::succeeded(json!({"export_id": id, "export": export.name, "job_id": export.job_id}))
        .with_change(json!({"stored": export.stored_as.is_some()}), json!({"stored": false, "cancelled": cancelled}));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    if let Some(stored_as) = &export.stored_as {
        store.delete(stored_as).await?;
    }
    exports::find(pool, id).await?.ok_or(ExportAccessError::NotFound)
}
