//! The results of a run, except plain matches, which are only counted.
//!
//! Once a later run of the day has been completed for a while, nothing reads the results of an earlier one: discrepancies
//! have facts and a history of their own. They are deleted then; the run and its counts stay.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::facts::{self, Facts};
use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::PageWindow;
use crate::db::types::names;
use crate::domain::access::ProjectScope;
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ReconciliationResult {
    pub id: i64,
    pub recon_date: NaiveDate,
    pub key: Option<String>,
    pub occurrence: i32,
    #[sqlx(flatten)]
    pub facts: Facts,
}

/// Which results of a run are listed.
#[derive(Debug, Clone)]
pub struct ResultFilter {
    pub run_id: Uuid,
    /// Of any status if it is empty.
    pub statuses: Vec<MatchStatus>,
    /// The type by which the result is counted; of any type if it is empty.
    pub discrepancy_types: Vec<DiscrepancyType>,
    pub scope: ProjectScope,
}

/// In the order in which the run wrote them.
pub async fn list(
    pool: &PgPool,
    filter: &ResultFilter,
    window: &PageWindow<i64>,
) -> Result<Vec<ReconciliationResult>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT id, recon_date, key, occurrence, {}", facts::COLUMNS));
    push_from(&mut query, filter);
    if let Some(after) = window.after {
        query.push(" AND id > ").push_bind(after);
    }
    query.push(" ORDER BY id OFFSET ").push_bind(window.offset).push(" LIMIT ").push_bind(window.limit);
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

pub async fn count(pool: &PgPool, filter: &ResultFilter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT");
    push_from(&mut query, filter);
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS visited");
    let found: i64 = query.build_query_scalar().persistent(false).fetch_one(pool).await?;
    Ok(Count::from_visited(found, found))
}

fn push_from(query: &mut QueryBuilder<Postgres>, filter: &ResultFilter) {
    query.push(" FROM reconciliation_results WHERE run_id = ").push_bind(filter.run_id);
    if !filter.statuses.is_empty() {
        let names: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
        query.push(" AND match_status = ANY(").push_bind(names).push(")");
    }
    if !filter.discrepancy_types.is_empty() {
        let names = names(&filter.discrepancy_types, DiscrepancyType::as_str);
        query.push(" AND types[1] = ANY(").push_bind(names).push(")");
    }
    facts::push_scope(query, &filter.scope);
}

/// Marks the runs that were superseded by a run that was completed before `time`, and deletes at most `limit` of the results of
/// marked runs.
pub async fn prune_superseded(
    pool: &PgPool,
    time: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, DbError> {
    // Before the deletion, so that no list of a run's results looks complete but is not.
    sqlx::query!(
        r#"UPDATE reconciliation_runs AS run SET results_deleted_at = $2
            WHERE version IS NOT NULL AND results_deleted_at IS NULL
              AND EXISTS (SELECT 1 FROM reconciliation_runs AS later
                           WHERE later.recon_date = run.recon_date AND later.version > run.version
                             AND later.finished_at < $1)"#,
        time,
        now
    )
    .execute(pool)
    .await?;
    let pruned = sqlx::query!(
        r#"DELETE FROM reconciliation_results WHERE id IN (
               SELECT results.id FROM reconciliation_runs AS run
                      JOIN reconciliation_results AS results ON results.run_id = run.id
                WHERE run.results_deleted_at IS NOT NULL LIMIT $1)"#,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
