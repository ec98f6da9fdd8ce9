//! Finds transactions by any of their ids, many at once.
//!
//! Each kind of id has an index: those of the identity and of reconciliation exist anyway, and only those of `reference_id` and `utr`
//! are for lookups alone. These two are in lower case, because PayShack's references mix both cases. All other ids have letters of
//! one case, if any, so their indexes are searched for the id as it was written, in lower case and in upper case. The index of the
//! identity begins with `source_id`, so that an id is not searched for each source and kind. A source leaves `order_id` (Vima) or
//! `client_operation_id` (PayShack) empty, so each has an index for one source only. Rejected:
//!
//! * the trigram index of [`search`](super::search): a search for one reference reads lists of many thousand entries;
//! * one index (GIN) of a number for each id of a transaction, which finds every id in any case by one search: it has two to three
//!   times as many entries, and either storing a payment takes a quarter longer, or each lookup reads a list of new entries;
//! * B-trees: they are about as fast, and larger.

use sqlx::postgres::PgRow;
use sqlx::{Executor, FromRow, PgConnection, QueryBuilder, Row};
use uuid::Uuid;

use super::search::{FoundTransaction, all_columns};
use crate::db::DbError;

/// The conditions of the indexes, for a row of `variants` with the id `variant`, which is `lowered` in lower case.
const CONDITIONS: [&str; 5] = [
    "source_id = variant",
    "source = 'vima' AND client_operation_id = variant",
    "source = 'payshack' AND order_id = variant",
    "lower(reference_id) = variant AND variant = lowered",
    "lower(utr) = variant AND variant = lowered",
];

/// For each of `ids`, by its index, the transactions that have it as one of their ids, in any case: those that have exactly this text
/// first, then the newest. Of each kind of id at most `limit`. Empty `projects` mean all. Called in a database transaction.
pub async fn list_by_ids(
    connection: &mut PgConnection,
    ids: &[&str],
    projects: &[String],
    limit: i64,
) -> Result<Vec<(usize, FoundTransaction)>, DbError> {
    // The planner cannot know how few transactions an id has: it could compile the statement, which takes longer than all searches.
    connection.execute("SET LOCAL jit = off").await?;
    let uuids: Vec<Option<Uuid>> = ids.iter().map(|id| Uuid::try_parse(id).ok()).collect();
    let mut query = QueryBuilder::new("WITH asked AS (SELECT * FROM unnest(");
    query.push_bind(ids).push("::text[], ").push_bind(uuids);
    query.push(
        "::uuid[]) WITH ORDINALITY AS asked (written, own_id, place)), variants AS (SELECT DISTINCT place, variant, lower(written) \
         AS lowered FROM asked CROSS JOIN LATERAL (VALUES (written), (lower(written)), (upper(written))) AS cases (variant)), \
         hits AS (SELECT place, own_id AS id FROM asked WHERE own_id IS NOT NULL",
    );
    for condition in CONDITIONS {
        query
            .push(" UNION SELECT place, found.id FROM variants CROSS JOIN LATERAL (SELECT id FROM transactions WHERE ");
        query.push(condition);
        push_projects(&mut query, projects);
        query.push(" LIMIT ").push_bind(limit).push(") AS found");
    }
    query.push(format!(
        ") SELECT {}, place FROM hits JOIN asked USING (place) JOIN transactions USING (id) WHERE true",
        all_columns()
    ));
    push_projects(&mut query, projects);
    query.push(
        " ORDER BY place, (own_id IS NOT DISTINCT FROM id OR written IN (source_id, reference_id, client_operation_id, order_id, utr)) \
         IS TRUE DESC, created_at DESC, id",
    );
    let rows = query.build().fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

fn push_projects(query: &mut QueryBuilder<sqlx::Postgres>, projects: &[String]) {
    if !projects.is_empty() {
        query.push(" AND project = ANY(").push_bind(projects.to_vec()).push(")");
    }
}

fn read(row: &PgRow) -> Result<(usize, FoundTransaction), DbError> {
    let place: i64 = row.try_get("place")?;
    let index = usize::try_from(place - 1).map_err(|_| DbError::impossible("place", place.to_string()))?;
    Ok((index, FoundTransaction::from_row(row)?))
}
