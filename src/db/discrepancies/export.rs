//! Cases and the days they are of, as an export reads them: all of them, in one snapshot, however many there are.

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Filter, Found, SELECT};
use crate::db::DbError;
use crate::db::count::{Count, MOST_VISITED};
use crate::db::snapshot::Snapshot;
use crate::domain::reconciliation::tally::{AmountsByCurrency, BySide, Tally};
use crate::domain::reconciliation::{Coverage, Coverages};

/// The statement that reads the cases; rows are read through it, so it lives as long as they come.
pub struct Cases(QueryBuilder<Postgres>);

impl Cases {
    /// Those that `filter` finds.
    #[must_use]
    pub fn of(filter: &Filter) -> Self {
        let mut query = QueryBuilder::new(format!("{SELECT} WHERE true"));
        filter.push(&mut query);
        query.push(" ORDER BY recon_date, discrepancies.id");
        Self(query)
    }

    /// The cases, oldest day first, as fast as they are taken.
    pub fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Found, DbError>> {
        match snapshot.connection() {
            Ok(connection) => self.0.build_query_as().fetch(connection).map_err(DbError::from).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

/// How many cases `filter` finds, as far as they are counted.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(snapshot: &mut Snapshot, filter: &Filter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM discrepancies WHERE true");
    filter.push(&mut query);
    query.push(" LIMIT ").push_bind(MOST_VISITED + 1).push(") AS found");
    let found: i64 = query.build_query_scalar().fetch_one(snapshot.connection()?).await?;
    Ok(Count::among(found, found))
}

/// What the last completed run of a day counted.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconciledDay {
    /// The day.
    pub recon_date: NaiveDate,
    /// The run.
    pub run_id: Uuid,
    /// The time at which it judged.
    pub run_at: DateTime<Utc>,
    /// The first instant of the day, and the first after it.
    pub instants: (DateTime<Utc>, DateTime<Utc>),
    /// How far each side had been read.
    pub coverages: Coverages,
    /// What became of the rows.
    pub tally: Tally,
    /// What they come to.
    pub amounts: AmountsByCurrency,
}

/// The days from `from` to `to` that have a completed run, the oldest first.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list_days(
    snapshot: &mut Snapshot,
    (from, to): (Option<NaiveDate>, Option<NaiveDate>),
) -> Result<Vec<ReconciledDay>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (recon_date) recon_date, id, COALESCE(as_of, started_at) AS "run_at!",
                  day_from, day_until,
                  vima_watermark, vima_covered_from, payshack_watermark, payshack_covered_from,
                  total_vima, total_payshack, matched, amount_discrepancies, status_discrepancies,
                  missing_vima, missing_payshack, pending, pending_vima, pending_payshack,
                  duplicate_vima, duplicate_payshack, unmatchable_vima, unmatchable_payshack,
                  amounts AS "amounts: Json<AmountsByCurrency>"
             FROM reconciliation_runs
            WHERE version IS NOT NULL
              AND ($1::date IS NULL OR recon_date >= $1) AND ($2::date IS NULL OR recon_date <= $2)
            ORDER BY recon_date, version DESC"#,
        from,
        to
    )
    .fetch_all(snapshot.connection()?)
    .await?;
    let sides = |vima: i64, payshack: i64| BySide { vima: vima.unsigned_abs(), payshack: payshack.unsigned_abs() };
    let days = rows.into_iter().map(|row| ReconciledDay {
        recon_date: row.recon_date,
        run_id: row.id,
        run_at: row.run_at,
        instants: (row.day_from, row.day_until),
        coverages: Coverages {
            vima: Coverage { covered_from: row.vima_covered_from, watermark: row.vima_watermark },
            payshack: Coverage { covered_from: row.payshack_covered_from, watermark: row.payshack_watermark },
        },
        tally: Tally {
            total: sides(row.total_vima, row.total_payshack),
            matched: row.matched.unsigned_abs(),
            amount_discrepancies: row.amount_discrepancies.unsigned_abs(),
            status_discrepancies: row.status_discrepancies.unsigned_abs(),
            missing_vima: row.missing_vima.unsigned_abs(),
            missing_payshack: row.missing_payshack.unsigned_abs(),
            pending: row.pending.unsigned_abs(),
            pending_rows: sides(row.pending_vima, row.pending_payshack),
            duplicates: sides(row.duplicate_vima, row.duplicate_payshack),
            unmatchable: sides(row.unmatchable_vima, row.unmatchable_payshack),
        },
        amounts: row.amounts.0,
    });
    Ok(days.collect())
}

impl ReconciledDay {
    /// Whether a later run may find otherwise: something is pending, or a side has not been read past the day's end.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        let (from, until) = self.instants;
        let Coverages { vima, payshack } = self.coverages;
        self.tally.pending > 0 || !vima.spans(from, until) || !payshack.spans(from, until)
    }
}
