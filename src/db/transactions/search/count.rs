//! How many payments a filter finds, where the cells of the metrics do not know it.
//!
//! Whatever is counted is counted one by one, and no more than [`MAX_VISITED`]. A range of amounts and a text have indexes
//! that find nothing else; of filters that no cell knows together, the payments that one of them finds are visited, the
//! newest first.

use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::{Search, TransactionFilter, search};
use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};

/// Of so many of the newest it is told how frequent a text is.
const LOOK: i64 = 4_000;

/// Counts what `filter` finds, which is at most `at_most`.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(connection: &mut PgConnection, filter: &TransactionFilter, at_most: u64) -> Result<Count, DbError> {
    match &filter.search {
        Some(search) => count_matching(connection, filter, search, at_most).await,
        None => count_visited(connection, filter).await,
    }
}

async fn count_visited(connection: &mut PgConnection, filter: &TransactionFilter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE found), count(*) FROM (SELECT (true");
    filter.push_all_but_search(&mut query);
    query.push(") AS found FROM transactions WHERE true");
    filter.push_narrowest(&mut query);
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS visited");
    let (found, visited): (i64, i64) = query.build_query_as().fetch_one(connection).await?;
    Ok(Count::from_visited(found, visited))
}

/// A text that is found so often among the newest that there must be more than may be visited is not counted any further.
async fn count_matching(
    connection: &mut PgConnection,
    filter: &TransactionFilter,
    search: &Search,
    at_most: u64,
) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE ");
    search::push_match(&mut query, search);
    query.push("), count(*) FROM (SELECT * FROM transactions WHERE true");
    filter.push_all_but_search(&mut query);
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(LOOK).push(") AS looked_at");
    let (found, looked_at): (i64, i64) = query.build_query_as().fetch_one(&mut *connection).await?;
    if looked_at < LOOK {
        return Ok(Count { total: found.unsigned_abs(), exact: true });
    }
    if found.unsigned_abs().saturating_mul(at_most) / LOOK.unsigned_abs() > MAX_VISITED.unsigned_abs() {
        return Ok(Count { total: found.unsigned_abs(), exact: false });
    }
    count_indexed(connection, filter, search).await
}

async fn count_indexed(
    connection: &mut PgConnection,
    filter: &TransactionFilter,
    search: &Search,
) -> Result<Count, DbError> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM transactions WHERE ");
    search::push_indexed_match(&mut query, search);
    filter.push_all_but_search(&mut query);
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS found");
    let found: i64 = query.build_query_scalar().fetch_one(connection).await?;
    Ok(Count::from_visited(found.min(MAX_VISITED), found))
}
