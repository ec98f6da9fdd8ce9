//! DiscrepancyStream as an export reads them: all that are asked for, in one snapshot, however many there are.

use futures_util::TryStreamExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::{Postgres, QueryBuilder};

use super::{Discrepancy, DiscrepancyFilter, select_where};
use crate::db::DbError;
use crate::db::snapshot::Snapshot;

/// The statement that reads the cases; rows are read through it, so it lives as long as they come.
pub struct DiscrepancyStream(QueryBuilder<Postgres>);

impl DiscrepancyStream {
    /// Those that `filter` finds.
    #[must_use]
    pub fn of(filter: &DiscrepancyFilter) -> Self {
        let mut query = select_where("true");
        filter.push(&mut query);
        query.push(" ORDER BY recon_date, discrepancies.id");
        Self(query)
    }

    /// The cases, oldest day first, as fast as they are taken.
    pub fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Discrepancy, DbError>> {
        match snapshot.connection() {
            Ok(connection) => {
                self.0.build_query_as().persistent(false).fetch(connection).map_err(DbError::from).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}
