//! What people do to cases: as many at once as they like, in three statements.
//!
//! People lock cases first, in the order of their ids, so that two of them wait for each other and never in a circle. A run
//! writes the same rows in no order: where the two meet in a circle, the database gives one of them up, and it is done again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::DbError;
use crate::domain::triage::Triage;

/// Locks the cases of these ids until the end of the transaction, and says how each stands, by their ids.
///
/// # Errors
/// [`DbError`] where the database refuses, or holds an impossible row.
pub async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, Triage)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, state, assignee, note FROM discrepancies WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((row.id, Triage { state: row.state.try_into()?, assignee: row.assignee, note: row.note })))
        .collect()
}

/// How a case stood, and how it is to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscrepancyUpdate {
    /// The case.
    pub id: Uuid,
    /// Before.
    pub from: Triage,
    /// After.
    pub to: Triage,
}

/// Who moves cases, when, and what is said with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdatedBy<'a> {
    /// The name of the key.
    pub name: &'a str,
    /// What is said; none where nothing is.
    pub note: Option<&'a str>,
    /// When.
    pub now: DateTime<Utc>,
}

/// Moves cases that are locked. When one was closed stays as it was where it stays closed the same way.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn update(
    connection: &mut PgConnection,
    moved: &[DiscrepancyUpdate],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE discrepancies AS kept
              SET state = moved.state, assignee = moved.assignee, note = moved.note,
                  resolved_at = CASE WHEN moved.state IN ('open', 'acknowledged') THEN NULL
                                     WHEN moved.state = kept.state THEN kept.resolved_at
                                     ELSE $5::timestamptz END
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[]) AS moved (id, state, assignee, note)
            WHERE kept.id = moved.id"#,
        &ids(moved),
        &moved.iter().map(|case| case.to.state.as_str()).collect::<Vec<_>>() as &[&str],
        &moved.iter().map(|case| case.to.assignee.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &moved.iter().map(|case| case.to.note.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes into the history of each who moved it.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn insert_changes(
    connection: &mut PgConnection,
    moved: &[DiscrepancyUpdate],
    by: UpdatedBy<'_>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO discrepancy_changes
               (discrepancy_id, changed_at, changed_by, from_state, to_state, from_assignee, to_assignee, note)
           SELECT moved.id, $6, $7, moved.from_state, moved.to_state, moved.from_assignee, moved.to_assignee, $8
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
                      AS moved (id, from_state, to_state, from_assignee, to_assignee)"#,
        &ids(moved),
        &moved.iter().map(|case| case.from.state.as_str()).collect::<Vec<_>>() as &[&str],
        &moved.iter().map(|case| case.to.state.as_str()).collect::<Vec<_>>() as &[&str],
        &moved.iter().map(|case| case.from.assignee.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &moved.iter().map(|case| case.to.assignee.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        by.now,
        by.name,
        by.note
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn ids(moved: &[DiscrepancyUpdate]) -> Vec<Uuid> {
    moved.iter().map(|case| case.id).collect()
}
