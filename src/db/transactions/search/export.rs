//! TransactionStream as an export reads them: all that are asked for, in one snapshot, however many there are.

use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::found::columns;
use super::{FoundTransaction, SortBy, SortOrder, TransactionFilter, search};
use crate::db::DbError;
use crate::db::snapshot::Snapshot;

/// The statement that reads the payments; rows are read through it, so it lives as long as they come.
pub struct TransactionStream(QueryBuilder<Postgres>);

impl TransactionStream {
    /// Those that `filter` finds, in this order, and of each what is `wanted`. Where a text is looked for that is known to be
    /// `rare`, it is looked up; else each payment is compared with it on the way.
    #[must_use]
    pub fn of(filter: &TransactionFilter, sort_by: SortBy, order: SortOrder, wanted: &[&str], rare: bool) -> Self {
        let mut query =
            QueryBuilder::new(format!("SELECT {} FROM transactions WHERE ", columns(|name| wanted.contains(&name))));
        match &filter.search {
            None => {
                query.push("true");
            }
            Some(search) if rare => {
                query.push("id IN (WITH matching AS MATERIALIZED (SELECT id FROM transactions WHERE ");
                search::push_indexed_match(&mut query, search);
                query.push(") SELECT id FROM matching)");
            }
            Some(search) => search::push_match(&mut query, search),
        }
        filter.push_all_but_search(&mut query);
        let (sorted, direction) = (sort_by.expression(), order.as_str());
        query.push(format!(" ORDER BY {sorted} {direction}, id {direction}"));
        Self(query)
    }

    /// The payments, as fast as they are taken.
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
