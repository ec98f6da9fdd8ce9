//! The cases of reconciliation, and in a workbook the days that they are of.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use futures_util::stream::{BoxStream, StreamExt};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::discrepancies::export::DiscrepancyStream;
use crate::db::discrepancies::{Discrepancy, DiscrepancyFilter, listing};
use crate::db::reconciliation::runs::{ReconciliationRun, list_last_completed};
use crate::db::snapshot::Snapshot;
use crate::domain::money::format_decimal;
use crate::domain::reconciliation::age_in_days;
use crate::domain::reconciliation::tally::Amounts;
use crate::domain::status::Status;
use crate::operations::export::{ExportSource, Rows, with_values};
use crate::tabular::Format;
use crate::tabular::columns::Column;
use crate::tabular::file_name::file_name;

/// A case as it is exported.
pub struct Case {
    found: Discrepancy,
    age_days: u32,
}

/// Everything that is told of a case, by the names of the API's answers.
pub static CASE_COLUMNS: [Column<Case>; 26] = [
    Column::id("id", |case| Some(case.found.id)),
    Column::day("recon_date", |case| Some(case.found.recon_date)),
    Column::id("run_id", |case| Some(case.found.run_id)),
    Column::text("client_operation_id", |case| Some(&case.found.key)),
    Column::text("project", |case| case.found.facts.project.as_deref()),
    Column::word("match_status", |case| Some(case.found.facts.match_status.as_str())),
    Column::word("discrepancy_type", |case| case.found.facts.types.0.first().map(|kind| kind.as_str())),
    Column::words("types", |case| case.found.facts.types.0.iter().map(|kind| kind.as_str()).collect()),
    Column::id("vima_txn_id", |case| case.found.facts.vima_txn_id),
    Column::id("payshack_txn_id", |case| case.found.facts.payshack_txn_id),
    Column::money("vima_amount", |case| case.found.facts.vima_amount),
    Column::money("payshack_amount", |case| case.found.facts.payshack_amount),
    Column::money("amount_diff", |case| case.found.facts.amount_diff),
    Column::text("vima_currency", |case| case.found.facts.vima_currency.as_deref()),
    Column::text("payshack_currency", |case| case.found.facts.payshack_currency.as_deref()),
    Column::word("vima_status", |case| case.found.facts.vima_status.0.map(Status::as_str)),
    Column::word("payshack_status", |case| case.found.facts.payshack_status.0.map(Status::as_str)),
    Column::word("state", |case| Some(case.found.state.as_str())),
    Column::text("assignee", |case| case.found.assignee.as_deref()),
    Column::text("note", |case| case.found.note.as_deref()),
    Column::time("first_seen_at", |case| Some(case.found.first_seen_at)),
    Column::time("last_seen_at", |case| Some(case.found.last_seen_at)),
    Column::time("resolved_at", |case| case.found.resolved_at),
    Column::count("age_days", |case| Some(case.age_days.into())),
    Column::json("details", |case| &case.found.facts.details),
    Column::time("created_at", |case| Some(case.found.created_at)),
];

/// A line of the summary: a day with its first currency, or another currency of the day before. So each figure stands
/// there once, and columns can be added up, though never across currencies.
pub struct DayLine {
    recon_date: NaiveDate,
    run: Option<ReconciliationRun>,
    amounts: Option<(String, Amounts)>,
}

static DAY_COLUMNS: [Column<DayLine>; 28] = [
    Column::day("recon_date", |line| Some(line.recon_date)),
    Column::id("run_id", |line| line.run.as_ref().map(|run| run.id)),
    Column::time("run_at", |line| line.run.as_ref().map(ReconciliationRun::run_at)),
    Column::flag("provisional", |line| line.run.as_ref().map(ReconciliationRun::is_provisional)),
    Column::count("total_transactions", |line| line.run.as_ref().map(|run| run.tally.keys())),
    Column::count("total_vima", |line| line.run.as_ref().map(|run| run.tally.total.vima)),
    Column::count("total_payshack", |line| line.run.as_ref().map(|run| run.tally.total.payshack)),
    Column::count("matched", |line| line.run.as_ref().map(|run| run.tally.matched)),
    Column::percent("matched_percentage", |line| line.share(0)),
    Column::count("discrepancies", |line| line.run.as_ref().map(|run| run.tally.discrepancies())),
    Column::percent("discrepancies_percentage", |line| line.share(1)),
    Column::count("amount_discrepancies", |line| line.run.as_ref().map(|run| run.tally.amount_discrepancies)),
    Column::count("status_discrepancies", |line| line.run.as_ref().map(|run| run.tally.status_discrepancies)),
    Column::count("missing", |line| line.run.as_ref().map(|run| run.tally.missing())),
    Column::percent("missing_percentage", |line| line.share(2)),
    Column::count("missing_vima", |line| line.run.as_ref().map(|run| run.tally.missing_vima)),
    Column::count("missing_payshack", |line| line.run.as_ref().map(|run| run.tally.missing_payshack)),
    Column::count("pending", |line| line.run.as_ref().map(|run| run.tally.pending)),
    Column::percent("pending_percentage", |line| line.share(3)),
    Column::count("duplicates", |line| line.run.as_ref().map(|run| run.tally.duplicates.sum())),
    Column::count("unmatchable", |line| line.run.as_ref().map(|run| run.tally.unmatchable.sum())),
    Column::text("currency", |line| line.amounts.as_ref().map(|(currency, _)| currency.as_str())),
    Column::money("matched_amount", |line| line.sum(|amounts| amounts.matched)),
    Column::money("discrepancies_amount", |line| line.sum(|amounts| amounts.amount + amounts.status)),
    Column::money("missing_vima_amount", |line| line.sum(|amounts| amounts.missing_vima)),
    Column::money("missing_payshack_amount", |line| line.sum(|amounts| amounts.missing_payshack)),
    Column::money("duplicates_amount", |line| line.sum(|amounts| amounts.duplicate)),
    Column::money("pending_amount", |line| line.sum(|amounts| amounts.pending)),
];

const DAYS_ARE_WHOLE: &str =
    "whole days, by their last completed runs: of the filters only from_date and to_date choose them";

/// An export of cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconciliationExport {
    /// Of which.
    pub filter: DiscrepancyFilter,
    /// The zone whose days are reconciled.
    pub days_of: Tz,
    /// When it is asked for.
    pub now: DateTime<Utc>,
}

impl ExportSource for ReconciliationExport {
    type Row = Case;
    type Line = DayLine;

    const NAME: &'static str = "reconciliation";
    const TITLE: &'static str = "Discrepancies";
    const COLUMNS: &'static [Column<Case>] = &CASE_COLUMNS;
    const SUMMARY: &'static [Column<DayLine>] = &DAY_COLUMNS;

    fn file_name(&self, format: Format) -> String {
        let filter = &self.filter;
        let words = [
            filter.match_statuses.iter().map(|status| status.as_str()).collect(),
            filter.discrepancy_types.iter().map(|kind| kind.as_str()).collect(),
            filter.either.iter().map(String::as_str).collect(),
            filter.states.iter().map(|state| state.as_str()).collect(),
        ];
        file_name(Self::NAME, (filter.from_date, filter.to_date), &words, format)
    }

    fn filters(&self) -> Vec<(&'static str, String)> {
        told(&self.filter)
    }

    fn remarks(&self) -> Vec<(&'static str, String)> {
        vec![("the days above", DAYS_ARE_WHOLE.to_owned())]
    }

    fn rows(&self, _columns: &[&'static Column<Case>]) -> impl Rows<Row = Case> {
        let filter = self.filter.clone();
        ExportedCases { cases: DiscrepancyStream::of(&filter), filter, days_of: self.days_of, now: self.now }
    }

    async fn summary(&self, snapshot: &mut Snapshot) -> Result<Vec<DayLine>, DbError> {
        let days = (self.filter.from_date, self.filter.to_date);
        let runs = list_last_completed(snapshot.connection()?, days).await?;
        Ok(runs.into_iter().flat_map(DayLine::of).collect())
    }
}

/// The cases as they are read.
struct ExportedCases {
    filter: DiscrepancyFilter,
    cases: DiscrepancyStream,
    days_of: Tz,
    now: DateTime<Utc>,
}

impl Rows for ExportedCases {
    type Row = Case;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        listing::count(snapshot.connection()?, &self.filter).await
    }

    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Case, DbError>> {
        let (days_of, now) = (self.days_of, self.now);
        let case = move |found: Discrepancy| {
            // What is closed ages no more.
            let on = found.resolved_at.unwrap_or(now).with_timezone(&days_of).date_naive();
            Case { age_days: age_in_days(found.recon_date, on), found }
        };
        self.cases.read(snapshot).map(move |found| found.map(case)).boxed()
    }
}

impl DayLine {
    fn of(run: ReconciliationRun) -> Vec<Self> {
        let recon_date = run.recon_date;
        let mut amounts = run.amounts.clone().into_iter();
        let first = Self { recon_date, amounts: amounts.next(), run: Some(run) };
        let others = amounts.map(|amounts| Self { recon_date, amounts: Some(amounts), run: None });
        std::iter::once(first).chain(others).collect()
    }

    /// A share of what was matched, discrepant, missing or pending, in percent.
    fn share(&self, place: usize) -> Option<Decimal> {
        let hundredths = *self.run.as_ref()?.tally.shares().get(place)?;
        Some(Decimal::from(hundredths) / Decimal::ONE_HUNDRED)
    }

    fn sum(&self, of: fn(&Amounts) -> Decimal) -> Option<Decimal> {
        self.amounts.as_ref().map(|(_, amounts)| of(amounts))
    }
}

/// The filters that are set, by their names, with their values.
fn told(filter: &DiscrepancyFilter) -> Vec<(&'static str, String)> {
    let day = |day: Option<NaiveDate>| day.map(|day| day.to_string()).into_iter().collect::<Vec<_>>();
    let filters = [
        ("from_date", day(filter.from_date)),
        ("to_date", day(filter.to_date)),
        ("match_status", filter.match_statuses.iter().map(|status| status.as_str().to_owned()).collect()),
        ("discrepancy_type", filter.discrepancy_types.iter().map(|kind| kind.as_str().to_owned()).collect()),
        ("type", filter.either.clone()),
        ("state", filter.states.iter().map(|state| state.as_str().to_owned()).collect()),
        ("project", filter.projects.clone()),
        ("assignee", filter.assignees.clone()),
        ("min_diff", filter.min_diff.map(format_decimal).into_iter().collect()),
        ("older_than_days: before", day(filter.before_date)),
    ];
    with_values(filters)
}
