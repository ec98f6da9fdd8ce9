//! Totals of transactions: one row per day, source, project and currency, so that a pivot table can add up any of them and
//! never adds different currencies.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::transactions::dimension_filters;
use crate::db::DbError;
use crate::db::count::Count;
use crate::db::metrics::sums;
use crate::db::snapshot::Snapshot;
use crate::domain::day::{DayRange, day_of};
use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::granularity::Granularity;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::{average, percent};
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::operations::export::source::{ExportSource, RowReader, active_filters};
use crate::tabular::Format;
use crate::tabular::columns::Column;
use crate::tabular::file_name::file_name;

/// The totals of one day, source, project and currency.
pub struct DayTotals {
    date: NaiveDate,
    source: Option<Source>,
    project: String,
    currency: String,
    by_status: [Measures; Status::ALL.len()],
}

static COLUMNS: [Column<DayTotals>; 22] = [
    Column::day("date", |row| Some(row.date)),
    Column::keyword("source", |row| row.source.map(Source::as_str)),
    Column::text("project", |row| (!row.project.is_empty()).then_some(row.project.as_str())),
    Column::text("currency", |row| Some(&row.currency)),
    Column::count("total_count", |row| Some(count_of(&row.all()))),
    Column::money("total_amount", |row| Some(row.all().amount)),
    Column::money("total_amount_usd", |row| Some(row.all().amount_usd)),
    Column::money("total_fee", |row| Some(row.all().fee)),
    Column::money("total_fee_usd", |row| Some(row.all().fee_usd)),
    Column::count("success_count", |row| Some(row.count(Status::Success))),
    Column::money("success_amount", |row| Some(row.measures(Status::Success).amount)),
    Column::money("success_amount_usd", |row| Some(row.measures(Status::Success).amount_usd)),
    Column::count("failed_count", |row| Some(row.count(Status::Failed))),
    Column::money("failed_amount", |row| Some(row.measures(Status::Failed).amount)),
    Column::count("pending_count", |row| Some(row.count(Status::Pending) + row.count(Status::Processing))),
    Column::money("pending_amount", |row| {
        Some(row.measures(Status::Pending).amount + row.measures(Status::Processing).amount)
    }),
    Column::count("refunded_count", |row| Some(row.count(Status::Refunded))),
    Column::money("refunded_amount", |row| Some(row.measures(Status::Refunded).amount)),
    Column::count("unknown_count", |row| Some(row.count(Status::Unknown))),
    Column::count("usd_missing_count", |row| Some(row.all().usd_missing.unsigned_abs())),
    Column::percent("conversion_rate", DayTotals::conversion_rate),
    Column::money("avg_ticket", |row| average(row.all().amount, row.all().count)),
];

impl DayTotals {
    fn all(&self) -> Measures {
        let mut all = Measures::default();
        for measures in self.by_status {
            all += measures;
        }
        all
    }

    fn measures(&self, status: Status) -> Measures {
        let index = Status::ALL.iter().position(|known| *known == status);
        index.map(|index| self.by_status[index]).unwrap_or_default()
    }

    fn count(&self, status: Status) -> u64 {
        count_of(&self.measures(status))
    }

    fn conversion_rate(&self) -> Option<Decimal> {
        let rate = percent(self.measures(Status::Success).count.into(), self.all().count.into())?;
        // Two decimals, which the text preserves.
        rate.to_string().parse().ok()
    }
}

fn count_of(measures: &Measures) -> u64 {
    measures.count.unsigned_abs()
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSummaryExport {
    pub filter: MetricFilter,
    pub days: DayRange,
}

impl ExportSource for MetricsSummaryExport {
    type Row = DayTotals;
    type SummaryRow = ();

    const NAME: &'static str = "metrics-summary";
    const FROM_PAYMENTS: bool = true;
    const TITLE: &'static str = "Metrics";
    const COLUMNS: &'static [Column<DayTotals>] = &COLUMNS;
    const SUMMARY_COLUMNS: &'static [Column<()>] = &[];

    fn file_name(&self, format: Format) -> String {
        let days = (Some(self.days.from()), Some(self.days.to()));
        file_name(Self::NAME, days, &dimension_filters(&self.filter).map(|(_, values)| values), format)
    }

    fn filters(&self) -> Vec<(&'static str, String)> {
        let days = [
            ("from_date", vec![self.days.from().to_string()]),
            ("to_date", vec![self.days.to().to_string()]),
            ("days of", vec![self.days.zone().name().to_owned()]),
        ];
        active_filters(days.into_iter().chain(dimension_filters(&self.filter)))
    }

    fn reader(&self, _columns: &[&'static Column<DayTotals>]) -> impl RowReader<Row = DayTotals> {
        DayTotalsReader { export: self.clone(), totals: None }
    }
}

/// Reads all rows at once: there are only as many as combinations of days, sources, projects and currencies.
struct DayTotalsReader {
    export: MetricsSummaryExport,
    totals: Option<Vec<DayTotals>>,
}

impl DayTotalsReader {
    async fn list(&self, snapshot: &mut Snapshot) -> Result<Vec<DayTotals>, DbError> {
        let MetricsSummaryExport { filter, days } = &self.export;
        // Never fails: a range has fewer days than the limit of buckets.
        let Ok((buckets, starts)) = TimeBuckets::calendar(*days, Granularity::Day) else { return Ok(vec![]) };
        let query = MetricQuery::new(filter.clone(), buckets).by_source().by(Dimension::Project).with_fees();
        let rows = sums::list(snapshot.connection()?, &query).await?;
        let dates: Vec<NaiveDate> = starts.into_iter().map(|start: DateTime<Utc>| day_of(start, days.zone())).collect();
        Ok(group_by_day(rows, &dates))
    }
}

fn group_by_day(rows: Vec<MetricRow>, dates: &[NaiveDate]) -> Vec<DayTotals> {
    let mut totals = BTreeMap::new();
    for row in rows {
        let Some(date) = usize::try_from(row.bucket).ok().and_then(|bucket| dates.get(bucket)) else { continue };
        let key = (*date, row.source, row.member, row.currency);
        let by_status = totals.entry(key).or_insert_with(|| [Measures::default(); Status::ALL.len()]);
        if let Some(index) = Status::ALL.iter().position(|status| *status == row.status) {
            by_status[index] += row.measures;
        }
    }
    let row = |((date, source, project, currency), by_status)| DayTotals { date, source, project, currency, by_status };
    totals.into_iter().map(row).collect()
}

impl RowReader for DayTotalsReader {
    type Row = DayTotals;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        let totals = self.list(snapshot).await?;
        let total = totals.len() as u64;
        self.totals = Some(totals);
        Ok(Count { total, exact: true })
    }

    fn read<'a>(&'a mut self, _snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<DayTotals, DbError>> {
        stream::iter(self.totals.take().unwrap_or_default().into_iter().map(Ok)).boxed()
    }
}
