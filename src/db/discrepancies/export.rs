//! Streams all discrepancies of a filter from one snapshot, for exports.

use futures_util::TryStreamExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::{Postgres, QueryBuilder};

use super::{Discrepancy, DiscrepancyFilter, select_where};
use crate::db::DbError;
use crate::db::snapshot::Snapshot;

/// The statement. The stream of rows borrows it.
pub struct DiscrepancyStream(QueryBuilder<Postgres>);

impl DiscrepancyStream {
    #[must_use]
    pub fn new(filter: &DiscrepancyFilter) -> Self {
        let mut query = select_where("true");
        filter.push(&mut query);
        query.push(" ORDER BY recon_date, discrepancies.id");
        Self(query)
    }

    /// Oldest day first.
    pub fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Discrepancy, DbError>> {
        match snapshot.connection() {
            Ok(connection) => {
                self.0.build_query_as().persistent(false).fetch(connection).map_err(DbError::from).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}
