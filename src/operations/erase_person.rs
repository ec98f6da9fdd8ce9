//! Erases a person: payments lose their payer, free text loses the identifiers, and later syncs do not bring the person back.
//!
//! Amounts, statuses, projects and countries stay, so that metrics and reconciliation do not change. The order matters: first the
//! identifiers are recorded, so that no page that is stored from then on contains the person; then what is stored is searched,
//! without a lock; then it is erased, in one transaction with the entry of the audit log.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::audit::{AuditContext, AuditRecord};
use super::cancel_job::{CancelError, cancel};
use super::export::store::{ExportStore, ExportStoreError};
use crate::db::access::audit_log::content::{self, NewContent};
use crate::db::erasure::{self, StoredExport, TextCounts};
use crate::db::metrics::data_version;
use crate::db::{DbError, exports, transactions};
use crate::domain::erasure::{ERASED_TEXT, Identifier, text_pattern};
use crate::domain::transaction::Source;

#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(
        "everything was erased except exported files ({0}): run the command again, or delete the files of EXPORT_STORE by hand; \
         they are deleted after a day anyway"
    )]
    Files(#[from] ExportStoreError),
}

/// What contains the person, and what else is removed because it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ErasureCounts {
    pub payments: usize,
    #[serde(flatten)]
    pub texts: TextCounts,
    /// Files of exports, and exports that are being written.
    pub exports: usize,
}

/// Counts what [`erase_person`] would erase.
pub async fn count_person(pool: &PgPool, identifiers: &[Identifier]) -> Result<ErasureCounts, DbError> {
    let pattern = text_pattern(identifiers);
    Ok(ErasureCounts {
        payments: erasure::list_payments(pool, identifiers, &pattern).await?.len(),
        texts: erasure::count_texts(pool, &pattern).await?,
        exports: erasure::list_exports(pool).await?.len(),
    })
}

/// Erases the person with any of these identifiers. A second call finds nothing more.
pub async fn erase_person(
    pool: &PgPool,
    store: &ExportStore,
    identifiers: &[Identifier],
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<ErasureCounts, EraseError> {
    suppress(pool, identifiers, now).await?;
    let pattern = text_pattern(identifiers);
    let payments = erasure::list_payments(pool, identifiers, &pattern).await?;
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    lock_sources(&mut transaction).await?;
    let texts = erasure::count_texts(&mut *transaction, &pattern).await?;
    erase_payments(&mut transaction, &payments, now).await?;
    erasure::erase_texts(&mut transaction, &pattern).await?;
    let exports = erasure::list_exports(&mut *transaction).await?;
    for export in &exports {
        remove(&mut transaction, export, &audit.principal.name).await?;
    }
    erasure::delete_orders(&mut transaction, &pattern).await?;
    let counts = ErasureCounts { payments: payments.len(), texts, exports: exports.len() };
    append_entry(&mut transaction, audit, identifiers, &pattern, &counts, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    for stored_as in exports.iter().filter_map(|export| export.stored_as.as_ref()) {
        store.delete(stored_as).await?;
    }
    Ok(counts)
}

/// Records the identifiers. Waits for the pages that are being stored, which do not know them yet.
async fn suppress(pool: &PgPool, identifiers: &[Identifier], now: DateTime<Utc>) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    lock_sources(&mut transaction).await?;
    let key = erasure::get_key(&mut *transaction).await?;
    erasure::insert_identifiers(&mut transaction, &key, identifiers, now).await?;
    Ok(transaction.commit().await?)
}

async fn lock_sources(connection: &mut PgConnection) -> Result<(), DbError> {
    for source in Source::ALL {
        transactions::lock_source(connection, source).await?;
    }
    Ok(())
}

/// New versions of their days invalidate cached lists, which show the payers.
async fn erase_payments(
    connection: &mut PgConnection,
    payments: &[(Uuid, Source, NaiveDate)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let ids: Vec<Uuid> = payments.iter().map(|(id, ..)| *id).collect();
    erasure::erase_payments(connection, &ids, now).await?;
    for source in Source::ALL {
        data_version::increment(connection, source, &erasure::days_of(payments, source)).await?;
    }
    Ok(())
}

/// A file is compressed or elsewhere, so it is not searched. One that is being written may contain the person too.
async fn remove(connection: &mut PgConnection, export: &StoredExport, removed_by: &str) -> Result<(), DbError> {
    match cancel(connection, export.job_id, removed_by).await {
        Ok(_) | Err(CancelError::NotFound | CancelError::Finished(_)) => {}
        Err(CancelError::Db(error)) => return Err(error),
    }
    exports::clear_file(connection, export.id).await
}

/// The entry of the erasure attests the new content of the other entries. It contains no identifier.
async fn append_entry(
    connection: &mut PgConnection,
    audit: &AuditContext,
    identifiers: &[Identifier],
    pattern: &str,
    counts: &ErasureCounts,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let contents = content::list_erased(connection, pattern, ERASED_TEXT).await?;
    let attested: Map<String, Value> = contents.iter().map(attestation).collect();
    let kinds: Vec<&str> = identifiers.iter().map(Identifier::kind).collect();
    let record = AuditRecord {
        attests: (!attested.is_empty()).then_some(Value::Object(attested)),
        ..AuditRecord::succeeded(json!({"identifiers": kinds, "erased": counts}))
    };
    audit.append(connection, &record, now).await?;
    content::replace(connection, &contents).await
}

fn attestation(content: &NewContent) -> (String, Value) {
    (content.content.sequence.to_string(), hex::encode(&content.hash).into())
}
