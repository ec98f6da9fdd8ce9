//! Looks up transactions by ids that someone pasted, in the order of the ids.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use crate::db::DbError;
use crate::db::transactions::lookup::list_by_ids;
use crate::db::transactions::search::FoundTransaction;

/// The most ids at once.
pub const MAX_IDS: usize = 500;
/// The most transactions of an id. Usually there are one or two, but nothing keeps a provider from using an id again.
pub const MAX_MATCHES: usize = 20;

/// What an id has found.
#[derive(Debug, Clone, PartialEq)]
pub struct LookedUpId {
    pub id: String,
    /// Whether the same id comes before it.
    pub is_repeated: bool,
    /// The transactions that have exactly this id or, if there are none, those that have it in another case; newest first.
    pub matches: Vec<FoundTransaction>,
    /// Whether there are more than [`MAX_MATCHES`].
    pub has_more: bool,
}

/// Looks up `ids`, repeated ones included. Empty `projects` mean all. Called in a database transaction.
pub async fn look_up_transactions(
    connection: &mut PgConnection,
    ids: &[String],
    projects: &[String],
) -> Result<Vec<LookedUpId>, DbError> {
    let mut distinct: Vec<&str> = vec![];
    let mut places: HashMap<&str, usize> = HashMap::new();
    for id in ids {
        places.entry(id).or_insert_with(|| {
            distinct.push(id);
            distinct.len() - 1
        });
    }
    // One more, to know whether there are more.
    let limit = i64::try_from(MAX_MATCHES + 1).unwrap_or(i64::MAX);
    let mut found: Vec<Vec<FoundTransaction>> = vec![vec![]; distinct.len()];
    for (place, transaction) in list_by_ids(connection, &distinct, projects, limit).await? {
        found[place].push(transaction);
    }
    let found = found.into_iter().zip(&distinct).map(|(matches, id)| keep_exact(matches, id)).collect::<Vec<_>>();
    let mut seen = HashSet::new();
    let looked_up = ids.iter().map(|id| {
        let matches = &found[places[id.as_str()]];
        LookedUpId {
            id: id.clone(),
            is_repeated: !seen.insert(id),
            has_more: matches.len() > MAX_MATCHES,
            matches: matches.iter().take(MAX_MATCHES).cloned().collect(),
        }
    });
    Ok(looked_up.collect())
}

/// Removes the transactions that have the id in another case, if one has exactly this id.
fn keep_exact(mut matches: Vec<FoundTransaction>, id: &str) -> Vec<FoundTransaction> {
    if matches.iter().any(|transaction| has_id(transaction, id)) {
        matches.retain(|transaction| has_id(transaction, id));
    }
    matches
}

/// Whether it is one of the transaction's ids, in the same case.
pub(super) fn has_id(transaction: &FoundTransaction, id: &str) -> bool {
    let FoundTransaction { source_id, reference_id, client_operation_id, order_id, utr, .. } = transaction;
    let ids = [reference_id, client_operation_id, order_id, utr].into_iter().flatten();
    ids.chain([source_id]).any(|own| own == id) || id.parse() == Ok(transaction.id)
}
