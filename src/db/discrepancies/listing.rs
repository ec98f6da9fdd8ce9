//! The cases that are asked for: of the newest day first, and there the one that was opened last.
//!
//! The statements are planned anew each time: a plan for any state would read the cases of years, nearly all closed, to find
//! the few that are open.

use sqlx::{PgExecutor, PgPool, QueryBuilder};
use uuid::Uuid;

use super::{Discrepancy, DiscrepancyCursor, DiscrepancyFilter, select_where};
use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::PageWindow;

/// The cases of one part of the listing.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list(
    pool: &PgPool,
    filter: &DiscrepancyFilter,
    window: &PageWindow<DiscrepancyCursor>,
) -> Result<Vec<Discrepancy>, DbError> {
    let mut query = select_where("true");
    filter.push(&mut query);
    if let Some(after) = window.after {
        query.push(" AND (recon_date, discrepancies.id) < (").push_bind(after.recon_date);
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(" ORDER BY recon_date DESC, discrepancies.id DESC");
    window.push_limits(&mut query);
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

/// Counts what `filter` finds, one by one among the newest that an index leads to.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(executor: impl PgExecutor<'_>, filter: &DiscrepancyFilter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE found), count(*) FROM (SELECT (true");
    filter.push_rest(&mut query);
    query.push(") AS found FROM discrepancies WHERE true");
    filter.push_leading(&mut query);
    query.push(" ORDER BY recon_date DESC, id DESC LIMIT ").push_bind(MAX_VISITED + 1).push(") AS visited");
    let (found, visited): (i64, i64) = query.build_query_as().persistent(false).fetch_one(executor).await?;
    Ok(Count::from_visited(found, visited))
}

/// The case of this id, if there is one.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Discrepancy>, DbError> {
    let mut query = select_where("discrepancies.id = ");
    Ok(query.push_bind(id).build_query_as().fetch_optional(pool).await?)
}

/// The cases of these ids, by their ids.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list_by_ids(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Discrepancy>, DbError> {
    let mut query = select_where("discrepancies.id = ANY(");
    query.push_bind(ids).push(") ORDER BY discrepancies.id");
    Ok(query.build_query_as().fetch_all(pool).await?)
}
