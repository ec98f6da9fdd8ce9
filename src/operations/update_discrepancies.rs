//! Moves cases because a person asks for it: one or a thousand, all or none.
//!
//! The rows are locked before it is looked how they stand, so that a run that writes them meanwhile is waited for, and what
//! is decided here is decided on what it left. What a run must know later, it finds in the case: what it was about when it
//! was closed.

use std::collections::BTreeSet;

use sqlx::PgPool;
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::DbError;
use crate::db::discrepancies::updates::{self, DiscrepancyUpdate, UpdatedBy};
use crate::domain::discrepancy::{DiscrepancyState, IllegalTransition};
use crate::domain::triage::{Triage, TriageUpdate};

/// How often it is tried.
const ATTEMPTS: usize = 3;
/// How many of those that are at fault are named.
const MOST_NAMED: usize = 5;

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There are no such cases.
    #[error("there is no such discrepancy: {}; nothing was changed", enumerated(.0.iter().map(Uuid::to_string)))]
    NotFound(Vec<Uuid>),
    /// Nobody may.
    #[error("{}; nothing was changed", enumerated(.0.iter().map(|(id, illegal)| format!("{id}: {illegal}"))))]
    Illegal(Vec<(Uuid, IllegalTransition)>),
    /// The database cannot take it.
    #[error(transparent)]
    Db(#[from] DbError),
}

fn enumerated(told: impl ExactSizeIterator<Item = String>) -> String {
    let others = told.len().saturating_sub(MOST_NAMED);
    let named = told.take(MOST_NAMED).collect::<Vec<_>>().join(", ");
    if others == 0 { named } else { format!("{named} and {others} more") }
}

/// Moves the cases of `ids` in the name of `by`, and says how many are another way now. What is so already is not written.
///
/// # Errors
/// [`MoveError`] where none was moved.
pub async fn move_cases(
    pool: &PgPool,
    clock: &dyn Clock,
    ids: &BTreeSet<Uuid>,
    asked: &TriageUpdate,
    by: &str,
) -> Result<usize, MoveError> {
    let mut result = try_to_move(pool, clock, ids, asked, by).await;
    for _ in 1..ATTEMPTS {
        // A run takes its cases in no order: two who wait for each other are parted by the database.
        if !matches!(result, Err(MoveError::Db(DbError::Conflict(_)))) {
            break;
        }
        result = try_to_move(pool, clock, ids, asked, by).await;
    }
    let cases = result?;
    if cases > 0 {
        let state = asked.state.map(DiscrepancyState::as_str);
        tracing::info!(cases, state, changed_by = by, "cases were moved by hand");
    }
    Ok(cases)
}

async fn try_to_move(
    pool: &PgPool,
    clock: &dyn Clock,
    ids: &BTreeSet<Uuid>,
    asked: &TriageUpdate,
    by: &str,
) -> Result<usize, MoveError> {
    let wanted: Vec<Uuid> = ids.iter().copied().collect();
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let found = updates::lock(&mut transaction, &wanted).await?;
    // After the lock: what a run wrote that was waited for came before.
    let now = clock.now();
    let known: BTreeSet<Uuid> = found.iter().map(|(id, _)| *id).collect();
    let unknown: Vec<Uuid> = ids.difference(&known).copied().collect();
    if !unknown.is_empty() {
        return Err(MoveError::NotFound(unknown));
    }
    let moved = moved(found, asked)?;
    if !moved.is_empty() {
        updates::update(&mut transaction, &moved, now).await?;
        updates::insert_changes(&mut transaction, &moved, UpdatedBy { name: by, note: asked.note.as_deref(), now })
            .await?;
        transaction.commit().await.map_err(DbError::from)?;
    }
    Ok(moved.len())
}

fn moved(found: Vec<(Uuid, Triage)>, asked: &TriageUpdate) -> Result<Vec<DiscrepancyUpdate>, MoveError> {
    let (mut moved, mut illegal) = (vec![], vec![]);
    for (id, from) in found {
        match from.after(asked) {
            Ok(Some(to)) => moved.push(DiscrepancyUpdate { id, from, to }),
            Ok(None) => {}
            Err(refused) => illegal.push((id, refused)),
        }
    }
    if illegal.is_empty() { Ok(moved) } else { Err(MoveError::Illegal(illegal)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_named() {
        let ids: Vec<Uuid> = (1..=7).map(Uuid::from_u128).collect();
        let told = MoveError::NotFound(ids.clone()).to_string();
        assert!(told.contains(&ids[4].to_string()) && !told.contains(&ids[5].to_string()), "{told}");
        assert!(told.ends_with(" and 2 more; nothing was changed"), "{told}");
        let told = MoveError::NotFound(ids[..1].to_vec()).to_string();
        assert_eq!(told, format!("there is no such discrepancy: {}; nothing was changed", ids[0]));
    }
}
