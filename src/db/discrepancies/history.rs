//! What became of a case.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::domain::discrepancy::DiscrepancyState;

/// A change of a case: by a person, or by a run.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscrepancyChange {
    /// When.
    pub changed_at: DateTime<Utc>,
    /// By whom; none where a run did it.
    pub changed_by: Option<String>,
    /// By which run; none where a person did it.
    pub run_id: Option<Uuid>,
    /// Where it stood before; none where it was opened.
    pub from_state: Option<DiscrepancyState>,
    /// Where it stood after.
    pub to_state: DiscrepancyState,
    /// Who looked into it before.
    pub from_assignee: Option<String>,
    /// Who looked into it after.
    pub to_assignee: Option<String>,
    /// What was said with it.
    pub note: Option<String>,
    /// What it was about before; none where that did not change.
    pub from_facts: Option<Value>,
    /// What it was about after; none where that did not change.
    pub to_facts: Option<Value>,
}

/// The most changes that are shown: the last ones, for a case that runs open and close every night goes on for ever.
const MOST_SHOWN: i64 = 1_000;

/// What became of a case, the first change first; of more than a thousand, the last thousand.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list(pool: &PgPool, id: Uuid) -> Result<Vec<DiscrepancyChange>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT changed_at, changed_by, run_id, from_state, to_state, from_assignee, to_assignee, note, from_facts, to_facts
             FROM discrepancy_changes WHERE discrepancy_id = $1 ORDER BY id DESC LIMIT $2"#,
        id,
        MOST_SHOWN
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
