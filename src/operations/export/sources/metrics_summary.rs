//! What payments sum up to: a row for each day, source, project and currency, so that a pivot table can add up what it likes
//! and never adds two currencies.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::transactions::dimensions_told;
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
use crate::operations::export::{ExportSource, Rows, with_values};
use crate::tabular::Format;
use crate::tabular::columns::Column;
use crate::tabular::file_name::file_name;

/// The payments of a day that share source, project and currency.
pub struct DaySums {
    date: NaiveDate,
    source: Option<Source>,
    project: String,
    currency: String,
    by_status: [Measures; Status::ALL.len()],
}

static SUM_COLUMNS: [Column<DaySums>; 22] = [
    Column::day("date", |sums| Some(sums.date)),
    Column::word("source", |sums| sums.source.map(Source::as_str)),
    Column::text("project", |sums| (!sums.project.is_empty()).then_some(sums.project.as_str())),
    Column::text("currency", |sums| Some(&sums.currency)),
    Column::count("total_count", |sums| Some(counted(&sums.all()))),
    Column::money("total_amount", |sums| Some(sums.all().amount)),
    Column::money("total_amount_usd", |sums| Some(sums.all().amount_usd)),
    Column::money("total_fee", |sums| Some(sums.all().fee)),
    Column::money("total_fee_usd", |sums| Some(sums.all().fee_usd)),
    Column::count("success_count", |sums| Some(sums.count(Status::Success))),
    Column::money("success_amount", |sums| Some(sums.of(Status::Success).amount)),
    Column::money("success_amount_usd", |sums| Some(sums.of(Status::Success).amount_usd)),
    Column::count("failed_count", |sums| Some(sums.count(Status::Failed))),
    Column::money("failed_amount", |sums| Some(sums.of(Status::Failed).amount)),
    Column::count("pending_count", |sums| Some(sums.count(Status::Pending) + sums.count(Status::Processing))),
    Column::money("pending_amount", |sums| Some(sums.of(Status::Pending).amount + sums.of(Status::Processing).amount)),
    Column::count("refunded_count", |sums| Some(sums.count(Status::Refunded))),
    Column::money("refunded_amount", |sums| Some(sums.of(Status::Refunded).amount)),
    Column::count("unknown_count", |sums| Some(sums.count(Status::Unknown))),
    Column::count("usd_missing_count", |sums| Some(sums.all().usd_missing.unsigned_abs())),
    Column::percent("conversion_rate", DaySums::conversion_rate),
    Column::money("avg_ticket", |sums| average(sums.all().amount, sums.all().count)),
];

impl DaySums {
    fn all(&self) -> Measures {
        let mut all = Measures::default();
        for measures in self.by_status {
            all += measures;
        }
        all
    }

    fn of(&self, status: Status) -> Measures {
        let place = Status::ALL.iter().position(|known| *known == status);
        place.map(|place| self.by_status[place]).unwrap_or_default()
    }

    fn count(&self, status: Status) -> u64 {
        counted(&self.of(status))
    }

    fn conversion_rate(&self) -> Option<Decimal> {
        let share = percent(self.of(Status::Success).count.into(), self.all().count.into())?;
        // It has two decimals, which its text keeps.
        share.to_string().parse().ok()
    }
}

fn counted(measures: &Measures) -> u64 {
    measures.count.unsigned_abs()
}

/// An export of sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSummaryExport {
    /// Of which payments.
    pub filter: MetricFilter,
    /// Of which days.
    pub days: DayRange,
}

impl ExportSource for MetricsSummaryExport {
    type Row = DaySums;
    type Line = ();

    const NAME: &'static str = "metrics-summary";
    const TITLE: &'static str = "Metrics";
    const COLUMNS: &'static [Column<DaySums>] = &SUM_COLUMNS;
    const SUMMARY: &'static [Column<()>] = &[];

    fn file_name(&self, format: Format) -> String {
        let days = (Some(self.days.from()), Some(self.days.to()));
        file_name(Self::NAME, days, &dimensions_told(&self.filter).map(|(_, values)| values), format)
    }

    fn filters(&self) -> Vec<(&'static str, String)> {
        let days = [
            ("from_date", vec![self.days.from().to_string()]),
            ("to_date", vec![self.days.to().to_string()]),
            ("days of", vec![self.days.zone().name().to_owned()]),
        ];
        with_values(days.into_iter().chain(dimensions_told(&self.filter)))
    }

    fn rows(&self, _columns: &[&'static Column<DaySums>]) -> impl Rows<Row = DaySums> {
        ExportedSums { export: self.clone(), sums: None }
    }
}

/// The sums as they are read: all at once, for there are no more than days, projects and currencies.
struct ExportedSums {
    export: MetricsSummaryExport,
    sums: Option<Vec<DaySums>>,
}

impl ExportedSums {
    async fn list(&self, snapshot: &mut Snapshot) -> Result<Vec<DaySums>, DbError> {
        let MetricsSummaryExport { filter, days } = &self.export;
        // There are fewer days in a range than there may be buckets.
        let Ok((slots, starts)) = TimeBuckets::calendar(*days, Granularity::Day) else { return Ok(vec![]) };
        let question = MetricQuery::new(filter.clone(), slots).by_source().by(Dimension::Project).with_fees();
        let sums = sums::list(snapshot.connection()?, &question).await?;
        let dates: Vec<NaiveDate> = starts.into_iter().map(|start: DateTime<Utc>| day_of(start, days.zone())).collect();
        Ok(gathered(sums, &dates))
    }
}

fn gathered(sums: Vec<MetricRow>, dates: &[NaiveDate]) -> Vec<DaySums> {
    let mut rows = BTreeMap::new();
    for sum in sums {
        let Some(date) = usize::try_from(sum.bucket).ok().and_then(|slot| dates.get(slot)) else { continue };
        let key = (*date, sum.source, sum.member, sum.currency);
        let by_status = rows.entry(key).or_insert_with(|| [Measures::default(); Status::ALL.len()]);
        if let Some(place) = Status::ALL.iter().position(|status| *status == sum.status) {
            by_status[place] += sum.measures;
        }
    }
    let row = |((date, source, project, currency), by_status)| DaySums { date, source, project, currency, by_status };
    rows.into_iter().map(row).collect()
}

impl Rows for ExportedSums {
    type Row = DaySums;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        let sums = self.list(snapshot).await?;
        let total = sums.len() as u64;
        self.sums = Some(sums);
        Ok(Count { total, exact: true })
    }

    fn read<'a>(&'a mut self, _snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<DaySums, DbError>> {
        stream::iter(self.sums.take().unwrap_or_default().into_iter().map(Ok)).boxed()
    }
}
