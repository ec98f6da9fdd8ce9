//! What a job is told to export: any subject, its form, and in whose name.

use serde::{Deserialize, Serialize};

use super::sources::metrics_summary::MetricsSummaryExport;
use super::sources::payshack_clients::PayshackClientsExport;
use super::sources::reconciliation::ReconciliationExport;
use super::sources::transactions::TransactionsExport;
use super::{Chunks, ExportError, ExportSource, Exports, RowsSoFar, Written};
use crate::db::DbError;
use crate::db::count::Count;
use crate::domain::access::Principal;
use crate::tabular::columns::{ChoiceError, choose};
use crate::tabular::lines::LineFormat;
use crate::tabular::xlsx::ROWS_OF_A_SHEET;
use crate::tabular::{FileOptions, Format};

/// An order of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSpec {
    /// Of what.
    pub wanted: ExportKind,
    /// In which form.
    pub form: FileOptions,
    /// In whose name.
    pub by: Principal,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "export", content = "of", rename_all = "kebab-case")]
pub enum ExportKind {
    /// Payments.
    Transactions(TransactionsExport),
    /// Cases of reconciliation.
    Reconciliation(ReconciliationExport),
    /// Sums of payments.
    MetricsSummary(MetricsSummaryExport),
    /// `PayShack`'s clients.
    PayshackClients(PayshackClientsExport),
}

/// A file that comes.
pub enum ExportOutput {
    /// While it is read.
    Lines(Chunks),
    /// When it is whole.
    Workbook(Written),
}

/// Does the same with whatever is wanted.
macro_rules! with_subject {
    ($wanted:expr, $subject:ident => $done:expr) => {
        match $wanted {
            ExportKind::Transactions($subject) => $done,
            ExportKind::Reconciliation($subject) => $done,
            ExportKind::MetricsSummary($subject) => $done,
            ExportKind::PayshackClients($subject) => $done,
        }
    };
}

impl ExportSpec {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        fn name<S: ExportSource>(_subject: &S) -> &'static str {
            S::NAME
        }
        with_subject!(&self.wanted, subject => name(subject))
    }

    /// What the file is called.
    #[must_use]
    pub fn file_name(&self) -> String {
        with_subject!(&self.wanted, subject => subject.file_name(self.form.format))
    }

    /// Whether the columns that are wanted are there.
    ///
    /// # Errors
    /// [`ChoiceError`] where one is not.
    pub fn check(&self) -> Result<(), ChoiceError> {
        fn check<S: ExportSource>(_subject: &S, form: &FileOptions) -> Result<(), ChoiceError> {
            choose(S::COLUMNS, &form.columns).map(drop)
        }
        with_subject!(&self.wanted, subject => check(subject, &self.form))
    }

    /// How many rows it will have, as far as that is worth finding out.
    ///
    /// # Errors
    /// [`DbError`] where the database cannot be read.
    pub async fn count(&self, exports: &Exports) -> Result<Count, DbError> {
        with_subject!(&self.wanted, subject => exports.count(subject).await)
    }

    /// Begins to make the file, and of a workbook makes all of it.
    ///
    /// # Errors
    /// [`ExportError`] where it cannot be made.
    pub async fn begin(&self, exports: &Exports, so_far: &RowsSoFar) -> Result<ExportOutput, ExportError> {
        with_subject!(&self.wanted, subject => begin(exports, subject, &self.form, &self.by, so_far).await)
    }
}

/// Begins to make a file of any subject, and of a workbook makes all of it.
///
/// # Errors
/// [`ExportError`] where it cannot be made.
pub async fn begin<S: ExportSource>(
    exports: &Exports,
    subject: &S,
    form: &FileOptions,
    by: &Principal,
    so_far: &RowsSoFar,
) -> Result<ExportOutput, ExportError> {
    let format = match form.format {
        Format::Xlsx => {
            let written = exports.workbook(subject, form, by, ROWS_OF_A_SHEET, so_far).await?;
            return Ok(ExportOutput::Workbook(written));
        }
        Format::Csv => LineFormat::Csv { excel: form.excel },
        Format::Ndjson => LineFormat::Ndjson,
    };
    Ok(ExportOutput::Lines(exports.lines(subject, form, format, by, so_far).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Specs are stored with their exports: the next release must read what this one wrote, and the other way round.
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
        ] {
            let spec: ExportSpec = serde_json::from_str(stored).expect(stored);
            assert_eq!(serde_json::to_string(&spec).expect(stored), stored);
        }
    }
}
