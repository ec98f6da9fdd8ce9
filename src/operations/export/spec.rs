//! What a job exports: the data, the file options and the user who requested it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::audit::{ExportRequester, describe};
use super::exporter::{ExportError, Exporter, RowCounter};
use super::lines::LineStream;
use super::source::ExportSource;
use super::sources::lookup::LookupExport;
use super::sources::metrics_summary::MetricsSummaryExport;
use super::sources::payshack_clients::PayshackClientsExport;
use super::sources::reconciliation::ReconciliationExport;
use super::sources::transactions::TransactionsExport;
use super::workbook::WorkbookFile;
use crate::db::DbError;
use crate::db::count::Count;
use crate::domain::access::Principal;
use crate::domain::day::DayRange;
use crate::tabular::columns::{ColumnError, select_columns};
use crate::tabular::lines::LineFormat;
use crate::tabular::xlsx::MAX_SHEET_ROWS;
use crate::tabular::{FileOptions, Format};

/// Stored as JSON with the export: the names in the JSON must not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSpec {
    #[serde(rename = "wanted")]
    pub kind: ExportKind,
    #[serde(rename = "form")]
    pub options: FileOptions,
    #[serde(rename = "by")]
    pub requested_by: Principal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "export", content = "of", rename_all = "kebab-case")]
pub enum ExportKind {
    Transactions(TransactionsExport),
    Reconciliation(ReconciliationExport),
    MetricsSummary(MetricsSummaryExport),
    PayshackClients(PayshackClientsExport),
    /// Transactions by pasted ids.
    Lookup(LookupExport),
}

pub enum ExportOutput {
    /// Sent while it is written.
    Lines(LineStream),
    /// Complete.
    Workbook(WorkbookFile),
}

/// Evaluates one expression for the source of any kind.
macro_rules! with_source {
    ($kind:expr, $source:ident => $expression:expr) => {
        match $kind {
            ExportKind::Transactions($source) => $expression,
            ExportKind::Reconciliation($source) => $expression,
            ExportKind::MetricsSummary($source) => $expression,
            ExportKind::PayshackClients($source) => $expression,
            ExportKind::Lookup($source) => $expression,
        }
    };
}

impl ExportSpec {
    /// The name of the export in the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        fn name<S: ExportSource>(_source: &S) -> &'static str {
            S::NAME
        }
        with_source!(&self.kind, source => name(source))
    }

    #[must_use]
    pub fn file_name(&self) -> String {
        with_source!(&self.kind, source => source.file_name(self.options.format))
    }

    /// The same export as requested at `now`, of these days if they are given.
    #[must_use]
    pub fn for_days(self, days: Option<DayRange>, now: DateTime<Utc>) -> Self {
        let kind = match (self.kind, days) {
            (ExportKind::Transactions(export), Some(days)) => ExportKind::Transactions(export.for_days(days)),
            (ExportKind::Reconciliation(mut export), days) => {
                export.requested_at = now;
                if let Some(days) = days {
                    (export.filter.from_date, export.filter.to_date) = (Some(days.from()), Some(days.to()));
                }
                ExportKind::Reconciliation(export)
            }
            (ExportKind::MetricsSummary(export), Some(days)) => {
                ExportKind::MetricsSummary(MetricsSummaryExport { days, ..export })
            }
            (kind, _) => kind,
        };
        Self { kind, ..self }
    }

    /// Fails if a requested column does not exist.
    pub fn check_columns(&self) -> Result<(), ColumnError> {
        fn check<S: ExportSource>(_source: &S, options: &FileOptions) -> Result<(), ColumnError> {
            select_columns(S::COLUMNS, &options.columns).map(drop)
        }
        with_source!(&self.kind, source => check(source, &self.options))
    }

    /// The number of rows, exact unless counting would cost too much.
    pub async fn count(&self, exporter: &Exporter) -> Result<Count, DbError> {
        with_source!(&self.kind, source => exporter.count(source).await)
    }

    /// What is exported, for an audit entry.
    #[must_use]
    pub fn describe(&self) -> Value {
        with_source!(&self.kind, source => describe(source, &self.options))
    }

    /// See [`export`]. `id` is that of the order.
    pub async fn export(
        &self,
        exporter: &Exporter,
        id: Uuid,
        row_counter: &RowCounter,
    ) -> Result<ExportOutput, ExportError> {
        let requester = ExportRequester::of_order(self.requested_by.clone(), id);
        with_source!(&self.kind, source => export(exporter, source, &self.options, &requester, row_counter).await)
    }
}

/// Starts to stream a file of lines, or writes a complete workbook.
pub async fn export<S: ExportSource>(
    exporter: &Exporter,
    source: &S,
    options: &FileOptions,
    requester: &ExportRequester,
    row_counter: &RowCounter,
) -> Result<ExportOutput, ExportError> {
    let format = match options.format {
        Format::Xlsx => {
            let workbook = exporter.write_workbook(source, options, requester, MAX_SHEET_ROWS, row_counter).await?;
            return Ok(ExportOutput::Workbook(workbook));
        }
        Format::Csv => LineFormat::Csv { excel: options.excel },
        Format::Ndjson => LineFormat::Ndjson,
    };
    Ok(ExportOutput::Lines(exporter.stream_lines(source, options, format, requester, row_counter).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This release must read what the previous one stored, and the other way round.
    #[test]
    fn stored_specs_keep_their_json() {
        for stored in [
            concat!(
                r#"{"wanted":{"export":"transactions","of":{"filter":{"dimensions":{"sources":["vima","payshack"],"#,
                r#""kinds":["payin","payout"],"projects":["monetix"],"statuses":["success","unknown"],"#,
                r#""currencies":["INR"],"merchant_ids":["7"],"countries":["IN"],"payment_methods":["upi"]},"#,
                r#""amounts":{"least":"10.50","most":"99","below":"100"},"from":"2026-01-14T18:30:00Z","#,
                r#""until":"2026-01-15T18:30:00Z","search":{"text":"abc","personal":true}},"#,
                r#""days":["2026-01-15",null],"days_of":"Asia/Kolkata","sort_by":"created_at","order":"desc","#,
                r#""sight":"whole"}},"form":{"format":"csv","columns":["id","amount"],"zone":"Asia/Kolkata","excel":true},"#,
                r#""by":{"name":"finance","role":"operator"}}"#,
            ),
            concat!(
                r#"{"wanted":{"export":"reconciliation","of":{"filter":{"from_date":"2026-01-01","to_date":null,"#,
                r#""match_statuses":["discrepancy"],"discrepancy_types":["amount"],"either":["missing_vima"],"#,
                r#""states":["open"],"projects":["monetix"],"assignees":["ana"],"min_diff":"0.01","#,
                r#""before_date":"2026-01-10"},"days_of":"Asia/Kolkata","now":"2026-01-15T10:00:00.250Z"}},"#,
                r#""form":{"format":"xlsx","columns":[],"zone":"UTC","excel":false},"#,
                r#""by":{"name":"auditor","role":"viewer"}}"#,
            ),
            concat!(
                r#"{"wanted":{"export":"metrics-summary","of":{"filter":{"sources":[],"kinds":[],"projects":[],"#,
                r#""statuses":[],"currencies":[],"merchant_ids":[],"countries":[],"payment_methods":[]},"#,
                r#""days":{"from":"2026-01-01","to":"2026-01-31","zone":"Asia/Kolkata"}}},"#,
                r#""form":{"format":"ndjson","columns":[],"zone":"UTC","excel":false},"#,
                r#""by":{"name":"root","role":"admin"}}"#,
            ),
            concat!(
                r#"{"wanted":{"export":"payshack-clients","of":{"#,
                r#""filter":{"search":"acme","is_active":true,"listed":null},"sight":"masked"}},"#,
                r#""form":{"format":"csv","columns":[],"zone":"UTC","excel":false},"#,
                r#""by":{"name":"auditor","role":"viewer"}}"#,
            ),
            concat!(
                r#"{"wanted":{"export":"lookup","of":{"ids":["402118868194","SP-1"],"projects":["monetix"],"sight":"masked"}},"#,
                r#""form":{"format":"csv","columns":["input","found","id"],"zone":"UTC","excel":false},"#,
                r#""by":{"name":"auditor","role":"viewer"}}"#,
            ),
        ] {
            let spec: ExportSpec = serde_json::from_str(stored).expect(stored);
            assert_eq!(serde_json::to_string(&spec).expect(stored), stored);
        }
    }
}
