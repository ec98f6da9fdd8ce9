//! The changes of a discrepancy.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::domain::discrepancy::DiscrepancyState;

/// A change by a person or by a run.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscrepancyChange {
    pub changed_at: DateTime<Utc>,
    /// `None` if a run made the change.
    pub changed_by: Option<String>,
    /// `None` if a person made the change.
    pub run_id: Option<Uuid>,
    /// `None` if the change opened the discrepancy.
    pub from_state: Option<DiscrepancyState>,
    pub to_state: DiscrepancyState,
    pub from_assignee: Option<String>,
    pub to_assignee: Option<String>,
    pub note: Option<String>,
    /// The facts before; `None` if they did not change.
    pub from_facts: Option<Value>,
    /// The facts after; `None` if they did not change.
    pub to_facts: Option<Value>,
}

/// Only the last changes are listed: runs may open and resolve a discrepancy every night.
const MAX_CHANGES: i64 = 1_000;

/// Oldest first; of more than a thousand, the last thousand.
pub async fn list(pool: &PgPool, id: Uuid) -> Result<Vec<DiscrepancyChange>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT changed_at, changed_by, run_id, from_state, to_state, from_assignee, to_assignee, note, from_facts, to_facts
             FROM discrepancy_changes WHERE discrepancy_id = $1 ORDER BY id DESC LIMIT $2"#,
        id,
        MAX_CHANGES
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .rev()
        .map(|row| {
            Ok(DiscrepancyChange {
                changed_at: row.changed_at,
                changed_by: row.changed_by,
                run_id: row.run_id,
                from_state: row.from_state.map(DiscrepancyState::try_from).transpose()?,
                to_state: row.to_state.try_into()?,
                from_assignee: row.from_assignee,
                to_assignee: row.to_assignee,
                note: row.note,
                from_facts: row.from_facts,
                to_facts: row.to_facts,
            })
        })
        .collect()
}
