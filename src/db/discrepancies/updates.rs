//! Updates of discrepancies by people: three statements for any number of them.
//!
//! An update first locks the rows in the order of their ids, so that two updates cannot deadlock. A run writes the same rows in no
//! particular order: if it deadlocks with an update, the database aborts one of them, which is then retried.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::reconciliation::facts;
use crate::db::types::column;
use crate::domain::access::ProjectScope;
use crate::domain::triage::Triage;

/// A row that no other transaction changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDiscrepancy {
    pub id: Uuid,
    pub triage: Triage,
    pub version: i64,
}

/// Locks rows until the transaction ends. Sorted by id.
pub async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<LockedDiscrepancy>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, state, assignee, note, version FROM discrepancies WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let triage = Triage { state: row.state.try_into()?, assignee: row.assignee, note: row.note };
            Ok(LockedDiscrepancy { id: row.id, triage, version: row.version })
        })
        .collect()
}

/// Which of `ids` are in `scope`.
pub async fn list_in_scope(
    connection: &mut PgConnection,
    ids: &[Uuid],
    scope: &ProjectScope,
) -> Result<Vec<Uuid>, DbError> {
    let mut query = QueryBuilder::new("SELECT id FROM discrepancies WHERE id = ANY(");
    query.push_bind(ids).push(")");
    facts::push_scope(&mut query, scope);
    Ok(query.build_query_scalar().fetch_all(connection).await?)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscrepancyUpdate {
    pub id: Uuid,
    pub from: Triage,
    pub to: Triage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdatedBy<'a> {
    /// The name of the API key.
    pub name: &'a str,
    pub note: Option<&'a str>,
    pub now: DateTime<Utc>,
}

/// Updates locked rows. Keeps the time of resolution if the state does not change.
pub async fn update(
    connection: &mut PgConnection,
    updates: &[DiscrepancyUpdate],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE discrepancies AS existing
              SET state = updated.state, assignee = updated.assignee, note = updated.note,
                  resolved_at = CASE WHEN updated.state IN ('open', 'acknowledged') THEN NULL
                                     WHEN updated.state = existing.state THEN existing.resolved_at
                                     ELSE $5::timestamptz END
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[]) AS updated (id, state, assignee, note)
            WHERE existing.id = updated.id"#,
        &column(updates, |update| update.id),
        &column(updates, |update| update.to.state.as_str()) as &[&str],
        &column(updates, |update| update.to.assignee.as_deref()) as &[Option<&str>],
        &column(updates, |update| update.to.note.as_deref()) as &[Option<&str>],
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn insert_changes(
    connection: &mut PgConnection,
    updates: &[DiscrepancyUpdate],
    by: UpdatedBy<'_>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO discrepancy_changes
               (discrepancy_id, changed_at, changed_by, from_state, to_state, from_assignee, to_assignee, note)
           SELECT updated.id, $6, $7, updated.from_state, updated.to_state, updated.from_assignee, updated.to_assignee, $8
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
                      AS updated (id, from_state, to_state, from_assignee, to_assignee)"#,
        &column(updates, |update| update.id),
        &column(updates, |update| update.from.state.as_str()) as &[&str],
        &column(updates, |update| update.to.state.as_str()) as &[&str],
        &column(updates, |update| update.from.assignee.as_deref()) as &[Option<&str>],
        &column(updates, |update| update.to.assignee.as_deref()) as &[Option<&str>],
        by.now,
        by.name,
        by.note
    )
    .execute(connection)
    .await?;
    Ok(())
}
