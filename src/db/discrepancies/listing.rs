//! Lists and counts discrepancies.
//!
//! Statements are planned for each call: one plan for any state would read the discrepancies of years, nearly all resolved, to
//! find the few open ones.

use sqlx::{PgExecutor, PgPool, QueryBuilder};
use uuid::Uuid;

use super::{Discrepancy, DiscrepancyCursor, DiscrepancyFilter, select_where};
use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::PageWindow;
use crate::db::reconciliation::facts;
use crate::domain::access::ProjectScope;

/// Newest day first, then the newest discrepancy.
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

/// Visits the newest rows that match the indexed conditions.
pub async fn count(executor: impl PgExecutor<'_>, filter: &DiscrepancyFilter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE found), count(*) FROM (SELECT (true");
    filter.push_rest(&mut query);
    query.push(") AS found FROM discrepancies WHERE true");
    filter.push_leading(&mut query);
    query.push(" ORDER BY recon_date DESC, id DESC LIMIT ").push_bind(MAX_VISITED + 1).push(") AS visited");
    let (found, visited): (i64, i64) = query.build_query_as().persistent(false).fetch_one(executor).await?;
    Ok(Count::from_visited(found, visited))
}

/// `None` also if it is not in `scope`.
pub async fn find(pool: &PgPool, id: Uuid, scope: &ProjectScope) -> Result<Option<Discrepancy>, DbError> {
    let mut query = select_where("discrepancies.id = ");
    query.push_bind(id);
    facts::push_scope(&mut query, scope);
    Ok(query.build_query_as().fetch_optional(pool).await?)
}

/// Those that are in `scope`, sorted by id.
pub async fn list_by_ids(pool: &PgPool, ids: &[Uuid], scope: &ProjectScope) -> Result<Vec<Discrepancy>, DbError> {
    let mut query = select_where("discrepancies.id = ANY(");
    query.push_bind(ids).push(")");
    facts::push_scope(&mut query, scope);
    query.push(" ORDER BY discrepancies.id");
    Ok(query.build_query_as().fetch_all(pool).await?)
}
