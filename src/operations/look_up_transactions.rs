//! Looks up transactions by ids that someone pasted, in the order of the ids.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::transactions::lookup::list_by_ids;
use crate::db::transactions::search::FoundTransaction;

/// The most ids at once.
pub const MAX_IDS: usize = 500;
/// The most transactions of an id. Usually there are one or two, but nothing keeps a provider from using an id again.
pub const MAX_MATCHES: usize = 20;
/// The most connections of a lookup.
const CONNECTIONS: usize = 4;
/// So few ids are looked up on one connection.
const MIN_PART: usize = 25;

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
    let distinct = DistinctIds::new(ids);
    let found = list_found(connection, &distinct.ids, projects).await?;
    Ok(distinct.arrange(ids, &found))
}

/// [`look_up_transactions`] on several connections of `pool` at the same time, because most of the time of a lookup is spent
/// waiting for pages of indexes, which ids from anywhere rarely share. Parts may see different states of the database, which an
/// answer cannot show: each id is in one of them.
pub async fn look_up_transactions_at_once(
    pool: &PgPool,
    ids: &[String],
    projects: &[String],
) -> Result<Vec<LookedUpId>, DbError> {
    let distinct = DistinctIds::new(ids);
    let part_size = distinct.ids.len().div_ceil(CONNECTIONS).max(MIN_PART);
    let parts = distinct.ids.chunks(part_size).map(|part| async {
        let mut reading = pool.begin().await?;
        let found = list_found(&mut reading, part, projects).await?;
        reading.commit().await?;
        Ok::<_, DbError>(found)
    });
    let found = try_join_all(parts).await?.concat();
    Ok(distinct.arrange(ids, &found))
}

/// For each of `ids`, at most one more than [`MAX_MATCHES`] of each kind of id, to know whether there are more.
async fn list_found(
    connection: &mut PgConnection,
    ids: &[&str],
    projects: &[String],
) -> Result<Vec<Vec<FoundTransaction>>, DbError> {
    let limit = i64::try_from(MAX_MATCHES + 1).unwrap_or(i64::MAX);
    let mut found: Vec<Vec<FoundTransaction>> = vec![vec![]; ids.len()];
    for (place, transaction) in list_by_ids(connection, ids, projects, limit).await? {
        found[place].push(transaction);
    }
    Ok(found.into_iter().zip(ids).map(|(matches, id)| keep_exact(matches, id)).collect())
}

struct DistinctIds<'ids> {
    ids: Vec<&'ids str>,
    places: HashMap<&'ids str, usize>,
}

impl<'ids> DistinctIds<'ids> {
    fn new(all: &'ids [String]) -> Self {
        let (mut ids, mut places) = (vec![], HashMap::new());
        for id in all {
            places.entry(id.as_str()).or_insert_with(|| {
                ids.push(id.as_str());
                ids.len() - 1
            });
        }
        Self { ids, places }
    }

    /// What each of `all` has found. `found` is in the order of the distinct ids.
    fn arrange(&self, all: &[String], found: &[Vec<FoundTransaction>]) -> Vec<LookedUpId> {
        let mut seen = HashSet::new();
        let looked_up = all.iter().map(|id| {
            let matches = &found[self.places[id.as_str()]];
            LookedUpId {
                id: id.clone(),
                is_repeated: !seen.insert(id),
                has_more: matches.len() > MAX_MATCHES,
                matches: matches.iter().take(MAX_MATCHES).cloned().collect(),
            }
        });
        looked_up.collect()
    }
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
