//! What is still to do of a bulk action, and what was left as it is.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{StoredBulkAction, find};
use crate::db::DbError;
use crate::db::page::PageWindow;
use crate::db::types::{column, read_name, to_bigint};
use crate::domain::bulk_action::{SkipReason, SkippedItem};
use crate::domain::job::JobId;

/// An item, as it was at the time of the preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkItem {
    pub id: Uuid,
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub number: i32,
    /// Sorted by id.
    pub items: Vec<BulkItem>,
}

/// Locks an action until the end of the transaction, and assigns it to the job that carries it out, because a job that has failed or
/// was cancelled may be retried as a new one.
pub async fn lock_for_job(
    connection: &mut PgConnection,
    id: Uuid,
    job_id: JobId,
) -> Result<Option<StoredBulkAction>, DbError> {
    sqlx::query!("UPDATE bulk_actions SET job_id = $2 WHERE id = $1 AND confirmed_at IS NOT NULL", id, job_id.0)
        .execute(&mut *connection)
        .await?;
    find(connection, id).await
}

/// The next batch; `None` if there is none left.
pub async fn find_next(connection: &mut PgConnection, id: Uuid) -> Result<Option<Batch>, DbError> {
    let row = sqlx::query!(
        "SELECT batch, item_ids, versions FROM bulk_action_batches WHERE action_id = $1 ORDER BY batch LIMIT 1",
        id
    );
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(|row| Batch {
        number: row.batch,
        items: row.item_ids.into_iter().zip(row.versions).map(|(id, version)| BulkItem { id, version }).collect(),
    }))
}

/// Records what became of the items of a batch, and deletes it.
pub async fn finish(
    connection: &mut PgConnection,
    id: Uuid,
    batch: i32,
    applied: u64,
    skipped: &[SkippedItem],
) -> Result<(), DbError> {
    sqlx::query!(
        r#"WITH done AS (DELETE FROM bulk_action_batches WHERE action_id = $1 AND batch = $2),
           counted AS (
               UPDATE bulk_actions SET applied = applied + $3, skipped = skipped + cardinality($4::uuid[]) WHERE id = $1)
           INSERT INTO bulk_action_skips (action_id, item_id, reason, detail)
           SELECT $1, item.id, item.reason, item.detail FROM UNNEST($4::uuid[], $5::text[], $6::text[]) AS item (id, reason, detail)"#,
        id,
        batch,
        to_bigint(applied),
        &column(skipped, |item| item.id),
        &column(skipped, |item| item.reason.as_str()) as &[&str],
        &column(skipped, |item| item.detail.as_str()) as &[&str]
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records that there is nothing left to do.
pub async fn finish_action(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!("UPDATE bulk_actions SET finished_at = $2 WHERE id = $1", id, now).execute(connection).await?;
    Ok(())
}

/// Sorted by id.
pub async fn list_skipped(pool: &PgPool, id: Uuid, window: &PageWindow<Uuid>) -> Result<Vec<SkippedItem>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT item_id, reason, detail FROM bulk_action_skips
            WHERE action_id = $1 AND ($2::uuid IS NULL OR item_id > $2) ORDER BY item_id OFFSET $3 LIMIT $4"#,
        id,
        window.after,
        window.offset,
        window.limit
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    let skipped = rows.map(|row| {
        let reason = read_name("bulk_action_skips.reason", row.reason, SkipReason::from_name)?;
        Ok(SkippedItem { id: row.item_id, reason, detail: row.detail })
    });
    skipped.collect()
}
