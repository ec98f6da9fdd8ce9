//! Updates discrepancies on request of a user: one or many, all or none.
//!
//! The rows are locked before they are read, so that a concurrent reconciliation run is waited for, and the decision is
//! based on its result. A later run finds in the discrepancy itself what it was about when it was closed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::audit::{AuditContext, AuditRecord};
use crate::clock::Clock;
use crate::db::DbError;
use crate::db::discrepancies::updates::{self, DiscrepancyUpdate, LockedDiscrepancy, UpdatedBy};
use crate::domain::discrepancy::{DiscrepancyState, IllegalTransition};
use crate::domain::entity_tag::{EntityTag, Precondition, PreconditionFailed};
use crate::domain::triage::{Triage, TriageUpdate};

const ATTEMPTS: usize = 3;
/// How many discrepancies an error message names.
const MAX_NAMED: usize = 5;

/// Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("there is no such discrepancy: {}; nothing was changed", join_first(.0.iter().map(Uuid::to_string)))]
    NotFound(Vec<Uuid>),
    #[error("{}; nothing was changed", join_first(.0.iter().map(|(id, illegal)| format!("{id}: {illegal}"))))]
    Illegal(Vec<(Uuid, IllegalTransition)>),
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    #[error(transparent)]
    Db(#[from] DbError),
}

fn join_first(items: impl ExactSizeIterator<Item = String>) -> String {
    let others = items.len().saturating_sub(MAX_NAMED);
    let named = items.take(MAX_NAMED).collect::<Vec<_>>().join(", ");
    if others == 0 { named } else { format!("{named} and {others} more") }
}

/// Applies `update` to the discrepancies `ids`, each of which meets `precondition`, and returns how many it changed. Those that are
/// not in the scope of the caller count as unknown.
pub async fn update_discrepancies(
    pool: &PgPool,
    clock: &dyn Clock,
    ids: &BTreeSet<Uuid>,
    update: &TriageUpdate,
    precondition: &Precondition,
    audit: &AuditContext,
) -> Result<usize, UpdateError> {
    let mut result = try_update(pool, clock, ids, update, precondition, audit).await;
    for _ in 1..ATTEMPTS {
        // A run locks discrepancies in no fixed order, so the database may abort one of two that wait for each other.
        if !matches!(result, Err(UpdateError::Db(DbError::Conflict(_)))) {
            break;
        }
        result = try_update(pool, clock, ids, update, precondition, audit).await;
    }
    let discrepancies = result?;
    if discrepancies > 0 {
        let state = update.state.map(DiscrepancyState::as_str);
        tracing::info!(discrepancies, state, changed_by = audit.principal.name, "discrepancies updated");
    }
    Ok(discrepancies)
}

async fn try_update(
    pool: &PgPool,
    clock: &dyn Clock,
    ids: &BTreeSet<Uuid>,
    update: &TriageUpdate,
    precondition: &Precondition,
    audit: &AuditContext,
) -> Result<usize, UpdateError> {
    let sorted_ids: Vec<Uuid> = ids.iter().copied().collect();
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let found = updates::lock(&mut transaction, &sorted_ids).await?;
    // After the lock, so that it is later than the writes of a run that was waited for.
    let now = clock.now();
    // After the lock, because a run may change the payments that a discrepancy compares.
    let known: BTreeSet<Uuid> =
        updates::list_in_scope(&mut transaction, &sorted_ids, &audit.principal.scope).await?.into_iter().collect();
    let unknown: Vec<Uuid> = ids.difference(&known).copied().collect();
    if !unknown.is_empty() {
        return Err(UpdateError::NotFound(unknown));
    }
    for discrepancy in &found {
        precondition.check(EntityTag::of_version(discrepancy.version))?;
    }
    let updated = apply(found, update)?;
    if !updated.is_empty() {
        updates::update(&mut transaction, &updated, now).await?;
        let by = UpdatedBy { name: &audit.principal.name, note: update.note.as_deref(), now };
        updates::insert_changes(&mut transaction, &updated, by).await?;
        audit.append(&mut transaction, &audit_record(&updated, update), now).await?;
        transaction.commit().await.map_err(DbError::from)?;
    }
    Ok(updated.len())
}

/// The earlier notes are in the history of each discrepancy.
fn audit_record(updated: &[DiscrepancyUpdate], update: &TriageUpdate) -> AuditRecord<'static> {
    let side = |triage: fn(&DiscrepancyUpdate) -> &Triage| -> Value {
        let triages = updated.iter().map(|update| {
            let triage = triage(update);
            json!({"id": update.id, "state": triage.state.as_str(), "assignee": triage.assignee})
        });
        triages.collect()
    };
    AuditRecord::succeeded(json!({"discrepancies": updated.len(), "note": update.note}))
        .with_change(side(|update| &update.from), side(|update| &update.to))
}

fn apply(found: Vec<LockedDiscrepancy>, update: &TriageUpdate) -> Result<Vec<DiscrepancyUpdate>, UpdateError> {
    let (mut updated, mut illegal) = (vec![], vec![]);
    for LockedDiscrepancy { id, triage: from, .. } in found {
        match from.apply(update) {
            Ok(Some(to)) => updated.push(DiscrepancyUpdate { id, from, to }),
            Ok(None) => {}
            Err(error) => illegal.push((id, error)),
        }
    }
    if illegal.is_empty() { Ok(updated) } else { Err(UpdateError::Illegal(illegal)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_first_discrepancies() {
        let ids: Vec<Uuid> = (1..=7).map(Uuid::from_u128).collect();
        let message = UpdateError::NotFound(ids.clone()).to_string();
        assert!(message.contains(&ids[4].to_string()) && !message.contains(&ids[5].to_string()), "{message}");
        assert!(message.ends_with(" and 2 more; nothing was changed"), "{message}");
        let message = UpdateError::NotFound(ids[..1].to_vec()).to_string();
        assert_eq!(message, format!("there is no such discrepancy: {}; nothing was changed", ids[0]));
    }
}
