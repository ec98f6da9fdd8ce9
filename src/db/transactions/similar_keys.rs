//! Finds transactions by other spellings of a key: one exact look-up in the index of the keys for each.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::search::{FoundTransaction, all_columns};
use crate::db::DbError;
use crate::domain::access::ProjectScope;
use crate::domain::transaction::Source;

/// More similar keys explain nothing.
const LIMIT: i64 = 20;

/// The transactions of `source` with one of these keys.
pub async fn list(
    connection: &mut PgConnection,
    source: Source,
    keys: &[String],
    scope: &ProjectScope,
) -> Result<Vec<FoundTransaction>, DbError> {
    let mut query = select(source, keys);
    push_projects(&mut query, scope);
    list_newest(connection, query).await
}

/// The pay-ins of `source` with one of these keys that were created in `from..=until`, and that have no counterpart of their own:
/// no pay-in of the other source has the same key.
pub async fn list_unpaired(
    connection: &mut PgConnection,
    source: Source,
    keys: &[String],
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    scope: &ProjectScope,
) -> Result<Vec<FoundTransaction>, DbError> {
    let mut query = select(source, keys);
    push_projects(&mut query, scope);
    query.push(" AND kind = 'payin' AND created_at BETWEEN ").push_bind(from).push(" AND ").push_bind(until);
    let (key, other, other_key) = (key_column(source), source.other().as_str(), key_column(source.other()));
    query.push(format!(
        " AND NOT EXISTS (SELECT FROM transactions AS counterpart WHERE counterpart.source = '{other}' \
         AND counterpart.kind = 'payin' AND counterpart.{other_key} = found.{key})"
    ));
    list_newest(connection, query).await
}

/// The source is a literal, so that the planner can use the index, which is limited to it. It must find the keys before it sorts: it
/// expects a transaction for most of them, and would rather read all transactions, the newest first, until it has some.
fn select(source: Source, keys: &[String]) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(format!(
        "WITH found AS MATERIALIZED (SELECT {} FROM transactions AS found WHERE source = '{}' AND {} = ANY(",
        all_columns(),
        source.as_str(),
        key_column(source)
    ));
    query.push_bind(keys.to_vec()).push(")");
    query
}

/// Ends and runs what `select` began.
async fn list_newest(
    connection: &mut PgConnection,
    mut query: QueryBuilder<Postgres>,
) -> Result<Vec<FoundTransaction>, DbError> {
    query.push(") SELECT * FROM found ORDER BY created_at DESC, id LIMIT ").push_bind(LIMIT);
    Ok(query.build_query_as().fetch_all(connection).await?)
}

/// The column of the key that both sources share. Each has an index of its own.
fn key_column(source: Source) -> &'static str {
    match source {
        Source::Vima => "client_operation_id",
        Source::Payshack => "order_id",
    }
}

/// Adds the condition that a transaction is visible in `scope`.
fn push_projects(query: &mut QueryBuilder<Postgres>, scope: &ProjectScope) {
    if let Some(projects) = scope.projects() {
        query.push(" AND project = ANY(").push_bind(projects.to_vec()).push(")");
    }
}
