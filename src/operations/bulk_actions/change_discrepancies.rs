//! Updates the discrepancies of a batch.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::BatchOutcome;
use crate::clock::Clock;
use crate::db::DbError;
use crate::db::bulk_actions::batches::BulkItem;
use crate::db::discrepancies::updates::{self, DiscrepancyUpdate, LockedDiscrepancy, UpdatedBy};
use crate::domain::access::Principal;
use crate::domain::bulk_action::SkippedItem;
use crate::domain::triage::TriageUpdate;

pub(super) async fn change_discrepancies(
    connection: &mut PgConnection,
    clock: &dyn Clock,
    items: &[BulkItem],
    update: &TriageUpdate,
    by: &Principal,
) -> Result<BatchOutcome, DbError> {
    let ids: Vec<Uuid> = items.iter().map(|item| item.id).collect();
    let locked = updates::lock(connection, &ids).await?;
    // After the lock, so that it is later than the writes of a run that was waited for.
    let now = clock.now();
    let mut found: BTreeMap<Uuid, LockedDiscrepancy> = locked.into_iter().map(|locked| (locked.id, locked)).collect();
    // After the lock, because a run may change the payments that a discrepancy compares.
    let in_scope: BTreeSet<Uuid> = updates::list_in_scope(connection, &ids, &by.scope).await?.into_iter().collect();
    found.retain(|id, _| in_scope.contains(id));
    let (mut updated, mut skipped) = (vec![], vec![]);
    for item in items {
        match decide(item, found.remove(&item.id), update) {
            Ok(update) => updated.push(update),
            Err(reason) => skipped.push(reason),
        }
    }
    updates::update(connection, &updated, now).await?;
    let by = UpdatedBy { name: &by.name, note: update.note.as_deref(), now };
    updates::insert_changes(connection, &updated, by).await?;
    Ok(BatchOutcome { applied: updated.len() as u64, skipped, due: vec![] })
}

fn decide(
    item: &BulkItem,
    found: Option<LockedDiscrepancy>,
    update: &TriageUpdate,
) -> Result<DiscrepancyUpdate, SkippedItem> {
    let id = item.id;
    let LockedDiscrepancy { triage: from, version, .. } = found.ok_or_else(|| SkippedItem::gone(id))?;
    if version.to_string() != item.version {
        return Err(SkippedItem::changed(id));
    }
    match from.apply(update) {
        Ok(Some(to)) => Ok(DiscrepancyUpdate { id, from, to }),
        Ok(None) => Err(SkippedItem::no_change(id)),
        Err(illegal) => Err(SkippedItem::refused(id, illegal.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bulk_action::SkipReason;
    use crate::domain::discrepancy::DiscrepancyState::{self, Acknowledged, Ignored, Open, Resolved};
    use crate::domain::triage::Triage;

    #[test]
    fn only_items_that_are_as_they_were_are_changed() {
        let id = Uuid::from_u128(7);
        let item = BulkItem { id, version: "3".to_owned() };
        let found = |state: DiscrepancyState, version| {
            let triage = Triage { state, assignee: None, note: None };
            Some(LockedDiscrepancy { id, triage, version })
        };
        let update = TriageUpdate { state: Some(Resolved), ..TriageUpdate::default() };
        for (found, expected) in [
            (found(Open, 3), Ok(Resolved)),
            (found(Acknowledged, 3), Ok(Resolved)),
            (found(Open, 4), Err(SkipReason::Changed)),
            (found(Resolved, 4), Err(SkipReason::Changed)),
            (found(Resolved, 3), Err(SkipReason::NoChange)),
            (found(Ignored, 3), Err(SkipReason::Refused)),
            (None, Err(SkipReason::Gone)),
        ] {
            let decided = decide(&item, found.clone(), &update);
            assert_eq!(decided.map(|update| update.to.state).map_err(|skipped| skipped.reason), expected, "{found:?}");
        }
    }
}
