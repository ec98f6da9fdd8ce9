//! One payment, with what belongs to it: the record as it was sent, and the history.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgPool, QueryBuilder};
use uuid::Uuid;

use super::search::{FoundTransaction, all_columns};
use crate::db::DbError;
use crate::domain::status::Status;

/// The payment of this id, if there is one.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<FoundTransaction>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {} FROM transactions WHERE id = ", all_columns()));
    Ok(query.push_bind(id).build_query_as().fetch_optional(pool).await?)
}

/// The record of a payment as the provider sent it.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn find_raw(pool: &PgPool, id: Uuid) -> Result<Option<serde_json::Value>, DbError> {
    Ok(sqlx::query_scalar!("SELECT raw_data FROM transactions WHERE id = $1", id).fetch_optional(pool).await?)
}

/// A change of a payment, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedChange {
    /// When it changed, by the provider's clock.
    pub changed_at: Option<DateTime<Utc>>,
    /// When the change was stored.
    pub recorded_at: DateTime<Utc>,
    /// The status before and after.
    pub status: (Status, Status),
    /// The amount before and after.
    pub amount: (Decimal, Decimal),
}

/// What changed of a payment, oldest first.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
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
