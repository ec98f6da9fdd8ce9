//! One transaction, its raw record and its changes.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgPool, QueryBuilder};
use uuid::Uuid;

use super::search::{FoundTransaction, all_columns};
use crate::db::DbError;
use crate::domain::status::Status;

pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<FoundTransaction>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {} FROM transactions WHERE id = ", all_columns()));
    Ok(query.push_bind(id).build_query_as().fetch_optional(pool).await?)
}

/// The record as the provider sent it.
pub async fn find_raw(pool: &PgPool, id: Uuid) -> Result<Option<serde_json::Value>, DbError> {
    Ok(sqlx::query_scalar!("SELECT raw_data FROM transactions WHERE id = $1", id).fetch_optional(pool).await?)
}

/// A stored [`TransactionChange`](super::TransactionChange).
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedChange {
    /// By the provider's clock.
    pub changed_at: Option<DateTime<Utc>>,
    pub recorded_at: DateTime<Utc>,
    /// Before and after.
    pub status: (Status, Status),
    /// Before and after.
    pub amount: (Decimal, Decimal),
}

/// Oldest first.
pub async fn list_changes(pool: &PgPool, id: Uuid) -> Result<Vec<RecordedChange>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT changed_at, recorded_at, old_status, new_status, old_amount, new_amount
             FROM transaction_changes WHERE transaction_id = $1 ORDER BY id"#,
        id
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RecordedChange {
                changed_at: row.changed_at,
                recorded_at: row.recorded_at,
                status: (row.old_status.try_into()?, row.new_status.try_into()?),
                amount: (row.old_amount, row.new_amount),
            })
        })
        .collect()
}
