//! Discrepancies, and in a workbook a summary of the reconciled days.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::discrepancies::export::DiscrepancyStream;
use crate::db::discrepancies::{Discrepancy, DiscrepancyFilter, listing};
use crate::db::reconciliation::runs::{ReconciliationRun, list_last_completed};
use crate::db::snapshot::Snapshot;
use crate::domain::masking::PiiAccess;
use crate::domain::money::format_decimal;
use crate::domain::reconciliation::age_in_days;
use crate::domain::reconciliation::tally::Amounts;
use crate::domain::status::Status;
use crate::operations::export::source::{ExportSource, RowReader, active_filters};
use crate::tabular::Format;
use crate::tabular::columns::Column;
use crate::tabular::file_name::file_name;

pub struct DiscrepancyRow {
    discrepancy: Discrepancy,
    age_days: u32,
}

/// The same fields, by the same names, as in the list of discrepancies.
pub static DISCREPANCY_COLUMNS: [Column<DiscrepancyRow>; 26] = [
    Column::id("id", |row| Some(row.discrepancy.id)),
    Column::day("recon_date", |row| Some(row.discrepancy.recon_date)),
    Column::id("run_id", |row| Some(row.discrepancy.run_id)),
    Column::text("client_operation_id", |row| Some(&row.discrepancy.key)),
    Column::text("project", |row| row.discrepancy.facts.project.as_deref()),
    Column::keyword("match_status", |row| Some(row.discrepancy.facts.match_status.as_str())),
    Column::keyword("discrepancy_type", |row| row.discrepancy.facts.types.0.first().map(|kind| kind.as_str())),
    Column::keywords("types", |row| row.discrepancy.facts.types.0.iter().map(|kind| kind.as_str()).collect()),
    Column::id("vima_txn_id", |row| row.discrepancy.facts.vima_txn_id),
    Column::id("payshack_txn_id", |row| row.discrepancy.facts.payshack_txn_id),
    Column::money("vima_amount", |row| row.discrepancy.facts.vima_amount),
    Column::money("payshack_amount", |row| row.discrepancy.facts.payshack_amount),
    Column::money("amount_diff", |row| row.discrepancy.facts.amount_diff),
    Column::text("vima_currency", |row| row.discrepancy.facts.vima_currency.as_deref()),
    Column::text("payshack_currency", |row| row.discrepancy.facts.payshack_currency.as_deref()),
    Column::keyword("vima_status", |row| row.discrepancy.facts.vima_status.0.map(Status::as_str)),
    Column::keyword("payshack_status", |row| row.discrepancy.facts.payshack_status.0.map(Status::as_str)),
    Column::keyword("state", |row| Some(row.discrepancy.state.as_str())),
    Column::text("assignee", |row| row.discrepancy.assignee.as_deref()),
    Column::text("note", |row| row.discrepancy.note.as_deref()),
    Column::time("first_seen_at", |row| Some(row.discrepancy.first_seen_at)),
    Column::time("last_seen_at", |row| Some(row.discrepancy.last_seen_at)),
    Column::time("resolved_at", |row| row.discrepancy.resolved_at),
    Column::count("age_days", |row| Some(row.age_days.into())),
    Column::json("details", |row| &row.discrepancy.facts.details),
    Column::time("created_at", |row| Some(row.discrepancy.created_at)),
];

/// A row of the summary: a day with its first currency, or a further currency of the same day. Each figure appears once, so
/// that columns can be added up (amounts only per currency).
pub struct DaySummary {
    recon_date: NaiveDate,
    run: Option<ReconciliationRun>,
    amounts: Option<(String, Amounts)>,
}

static DAY_COLUMNS: [Column<DaySummary>; 28] = [
    Column::day("recon_date", |day| Some(day.recon_date)),
    Column::id("run_id", |day| day.run.as_ref().map(|run| run.id)),
    Column::time("run_at", |day| day.run.as_ref().map(ReconciliationRun::run_at)),
    Column::flag("provisional", |day| day.run.as_ref().map(ReconciliationRun::is_provisional)),
    Column::count("total_transactions", |day| day.run.as_ref().map(|run| run.tally.keys())),
    Column::count("total_vima", |day| day.run.as_ref().map(|run| run.tally.total.vima)),
    Column::count("total_payshack", |day| day.run.as_ref().map(|run| run.tally.total.payshack)),
    Column::count("matched", |day| day.run.as_ref().map(|run| run.tally.matched)),
    Column::percent("matched_percentage", |day| day.share(0)),
    Column::count("discrepancies", |day| day.run.as_ref().map(|run| run.tally.discrepancies())),
    Column::percent("discrepancies_percentage", |day| day.share(1)),
    Column::count("amount_discrepancies", |day| day.run.as_ref().map(|run| run.tally.amount_discrepancies)),
    Column::count("status_discrepancies", |day| day.run.as_ref().map(|run| run.tally.status_discrepancies)),
    Column::count("missing", |day| day.run.as_ref().map(|run| run.tally.missing())),
    Column::percent("missing_percentage", |day| day.share(2)),
    Column::count("missing_vima", |day| day.run.as_ref().map(|run| run.tally.missing_vima)),
    Column::count("missing_payshack", |day| day.run.as_ref().map(|run| run.tally.missing_payshack)),
    Column::count("pending", |day| day.run.as_ref().map(|run| run.tally.pending)),
    Column::percent("pending_percentage", |day| day.share(3)),
    Column::count("duplicates", |day| day.run.as_ref().map(|run| run.tally.duplicates.sum())),
    Column::count("unmatchable", |day| day.run.as_ref().map(|run| run.tally.unmatchable.sum())),
    Column::text("currency", |day| day.amounts.as_ref().map(|(currency, _)| currency.as_str())),
    Column::money("matched_amount", |day| day.sum(|amounts| amounts.matched)),
    Column::money("discrepancies_amount", |day| day.sum(|amounts| amounts.amount + amounts.status)),
    Column::money("missing_vima_amount", |day| day.sum(|amounts| amounts.missing_vima)),
    Column::money("missing_payshack_amount", |day| day.sum(|amounts| amounts.missing_payshack)),
    Column::money("duplicates_amount", |day| day.sum(|amounts| amounts.duplicate)),
    Column::money("pending_amount", |day| day.sum(|amounts| amounts.pending)),
];

const DAYS_NOTE: &str = "whole days, from their last completed runs: of the filters, only from_date and to_date apply";
const NO_DAYS_NOTE: &str = "left out: they cover all projects, and the key of this export is limited to some";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconciliationExport {
    pub filter: DiscrepancyFilter,
    /// The time zone whose days are reconciled.
    #[serde(rename = "days_of")]
    pub zone: Tz,
    #[serde(rename = "now")]
    pub requested_at: DateTime<Utc>,
    /// Masked if an earlier release stored it, which did not record the access.
    #[serde(rename = "sight", default = "masked", skip_serializing_if = "is_masked")]
    pub pii_access: PiiAccess,
}

fn masked() -> PiiAccess {
    PiiAccess::Masked
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_masked(pii_access: &PiiAccess) -> bool {
    *pii_access == PiiAccess::Masked
}

impl ExportSource for ReconciliationExport {
    type Row = DiscrepancyRow;
    type SummaryRow = DaySummary;

    const NAME: &'static str = "reconciliation";
    const TITLE: &'static str = "Discrepancies";
    const COLUMNS: &'static [Column<DiscrepancyRow>] = &DISCREPANCY_COLUMNS;
    const SUMMARY_COLUMNS: &'static [Column<DaySummary>] = &DAY_COLUMNS;

    fn file_name(&self, format: Format) -> String {
        let filter = &self.filter;
        let values = [
            filter.match_statuses.iter().map(|status| status.as_str()).collect(),
            filter.discrepancy_types.iter().map(|kind| kind.as_str()).collect(),
            filter.either.iter().map(String::as_str).collect(),
            filter.states.iter().map(|state| state.as_str()).collect(),
        ];
        file_name(Self::NAME, (filter.from_date, filter.to_date), &values, format)
    }

    fn filters(&self) -> Vec<(&'static str, String)> {
        filter_values(&self.filter)
    }

    fn notes(&self) -> Vec<(&'static str, String)> {
        let note = if self.filter.scope.is_all() { DAYS_NOTE } else { NO_DAYS_NOTE };
        vec![("the days above", note.to_owned())]
    }

    fn reader(&self, _columns: &[&'static Column<DiscrepancyRow>]) -> impl RowReader<Row = DiscrepancyRow> {
        DiscrepancyReader { export: self.clone(), statement: DiscrepancyStream::new(&self.filter) }
    }

    async fn summary(&self, snapshot: &mut Snapshot) -> Result<Vec<DaySummary>, DbError> {
        // A run is counted as a whole.
        if self.filter.scope.is_limited() {
            return Ok(vec![]);
        }
        let days = (self.filter.from_date, self.filter.to_date);
        let runs = list_last_completed(snapshot.connection()?, days).await?;
        Ok(runs.into_iter().flat_map(DaySummary::from_run).collect())
    }
}

struct DiscrepancyReader {
    export: ReconciliationExport,
    statement: DiscrepancyStream,
}

impl RowReader for DiscrepancyReader {
    type Row = DiscrepancyRow;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        listing::count(snapshot.connection()?, &self.export.filter).await
    }

    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<DiscrepancyRow, DbError>> {
        let ReconciliationExport { zone, requested_at: now, pii_access, .. } = self.export;
        let row = move |mut discrepancy: Discrepancy| {
            discrepancy.note = discrepancy.note.map(|note| pii_access.text(note));
            // A resolved discrepancy no longer ages.
            let last_day = discrepancy.resolved_at.unwrap_or(now).with_timezone(&zone).date_naive();
            DiscrepancyRow { age_days: age_in_days(discrepancy.recon_date, last_day), discrepancy }
        };
        self.statement.read(snapshot).map_ok(row).boxed()
    }
}

impl DaySummary {
    /// One row per currency; only the first has the run.
    fn from_run(run: ReconciliationRun) -> Vec<Self> {
        let recon_date = run.recon_date;
        let mut amounts = run.amounts.clone().into_iter();
        let first = Self { recon_date, amounts: amounts.next(), run: Some(run) };
        let others = amounts.map(|amounts| Self { recon_date, amounts: Some(amounts), run: None });
        std::iter::once(first).chain(others).collect()
    }

    /// In percent: matched, discrepant, missing or pending, by `index`.
    fn share(&self, index: usize) -> Option<Decimal> {
        let hundredths = *self.run.as_ref()?.tally.shares().get(index)?;
        Some(Decimal::from(hundredths) / Decimal::ONE_HUNDRED)
    }

    fn sum(&self, of: fn(&Amounts) -> Decimal) -> Option<Decimal> {
        self.amounts.as_ref().map(|(_, amounts)| of(amounts))
    }
}

fn filter_values(filter: &DiscrepancyFilter) -> Vec<(&'static str, String)> {
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
    active_filters(filters)
}
