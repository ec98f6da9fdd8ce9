//! Streams all transactions of a filter from one snapshot, for exports.

use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::found::columns;
use super::{FoundTransaction, SortBy, SortOrder, TransactionFilter, text};
use crate::db::DbError;
use crate::db::snapshot::Snapshot;

/// The statement. The stream of rows borrows it.
pub struct TransactionStream(QueryBuilder<Postgres>);

impl TransactionStream {
    /// Reads only the columns that are `wanted`. A search for a `rare` text uses its index; for a frequent one it is faster to
    /// compare every row.
    #[must_use]
    pub fn new(filter: &TransactionFilter, sort_by: SortBy, order: SortOrder, wanted: &[&str], rare: bool) -> Self {
        let mut query =
            QueryBuilder::new(format!("SELECT {} FROM transactions WHERE ", columns(|name| wanted.contains(&name))));
        match &filter.search {
            None => {
                query.push("true");
            }
            Some(search) if rare => {
                query.push("id IN (WITH matching AS MATERIALIZED (SELECT id FROM transactions WHERE ");
                text::push_indexed_match(&mut query, text::fields(search), search);
                query.push(") SELECT id FROM matching)");
            }
            Some(search) => text::push_match(&mut query, search),
        }
        filter.push_all_but_search(&mut query);
        let (sorted, direction) = (sort_by.expression(), order.as_str());
        query.push(format!(" ORDER BY {sorted} {direction}, id {direction}"));
        Self(query)
    }

    pub fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Box<FoundTransaction>, DbError>> {
        match snapshot.connection() {
            Ok(connection) => {
                let rows = self.0.build().persistent(false).fetch(connection);
                rows.map(|row| Ok(Box::new(FoundTransaction::from_row(&row?)?))).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}
