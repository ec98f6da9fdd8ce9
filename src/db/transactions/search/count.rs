//! Counts transactions that the rollups cannot count.
//!
//! Rows are visited one by one, and at most [`MAX_VISITED`]. Ranges of amounts and searches have an index that finds exactly
//! their rows; of several other filters, the rows of the most selective one are visited.

use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::{Search, TransactionFilter, text};
use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};

/// The frequency of a text is estimated from this many of the newest rows.
const SAMPLE: i64 = 4_000;

/// `at_most` is a known upper bound.
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

/// If the sample predicts more matches than may be visited, returns the matches in the sample as a lower bound.
async fn count_matching(
    connection: &mut PgConnection,
    filter: &TransactionFilter,
    search: &Search,
    at_most: u64,
) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE ");
    text::push_match(&mut query, search);
    query.push("), count(*) FROM (SELECT * FROM transactions WHERE true");
    filter.push_all_but_search(&mut query);
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(SAMPLE).push(") AS sample");
    let (found, visited): (i64, i64) = query.build_query_as().fetch_one(&mut *connection).await?;
    if visited < SAMPLE {
        return Ok(Count { total: found.unsigned_abs(), exact: true });
    }
    if found.unsigned_abs().saturating_mul(at_most) / SAMPLE.unsigned_abs() > MAX_VISITED.unsigned_abs() {
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
    text::push_indexed_match(&mut query, text::fields(search), search);
    filter.push_all_but_search(&mut query);
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS found");
    let found: i64 = query.build_query_scalar().fetch_one(connection).await?;
    Ok(Count::from_visited(found.min(MAX_VISITED), found))
}
