//! Finds transactions by an id that a person knows: the provider's, or the key of either source.

use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::search::{FoundTransaction, all_columns};
use crate::db::DbError;
use crate::domain::access::ProjectScope;

/// An id that more transactions share identifies none.
pub const LIMIT: i64 = 50;

/// The transactions whose source id, client operation id or order id it is, newest first. Each is looked up in its index; the others
/// of the five ids have none of their own (`search` finds them).
pub async fn list(
    connection: &mut PgConnection,
    reference: &str,
    scope: &ProjectScope,
) -> Result<Vec<FoundTransaction>, DbError> {
    let conditions = [
        "source = 'vima' AND kind = 'payin' AND source_id = ",
        "source = 'vima' AND kind = 'payout' AND source_id = ",
        "source = 'payshack' AND kind = 'payin' AND source_id = ",
        "source = 'payshack' AND kind = 'payout' AND source_id = ",
        "source = 'vima' AND client_operation_id = ",
        "source = 'payshack' AND order_id = ",
    ];
    let mut query = QueryBuilder::new(format!("SELECT {} FROM transactions WHERE id IN (", all_columns()));
    for (index, condition) in conditions.into_iter().enumerate() {
        query.push(if index > 0 { " UNION ALL " } else { "" });
        query.push("(SELECT id FROM transactions WHERE ").push(condition).push_bind(reference.to_owned());
        push_projects(&mut query, scope);
        query.push(" LIMIT ").push_bind(LIMIT).push(")");
    }
    query.push(") ORDER BY created_at DESC, id LIMIT ").push_bind(LIMIT);
    Ok(query.build_query_as().fetch_all(connection).await?)
}

/// Adds the condition that a transaction is visible in `scope`.
pub(super) fn push_projects(query: &mut QueryBuilder<Postgres>, scope: &ProjectScope) {
    if let Some(projects) = scope.projects() {
        query.push(" AND project = ANY(").push_bind(projects.to_vec()).push(")");
    }
}
