//! Files to download: while they are read, when they are whole, or made by a job.

mod download;
pub(crate) mod from_query;
mod query;
mod range;
pub(crate) mod requests;

use std::sync::Arc;

use poem::http::header;
use poem::web::Data;
use poem::{Request, Result};
use poem_openapi::OpenApi;

pub(in crate::web) use self::requests::ExportName;

use self::download::Download;
use self::from_query::ParsedExport;
use self::query::FileQuery;
use super::filters::discrepancies::DiscrepancyQuery;
use super::filters::transactions::TransactionQuery;
use super::http::auth::Viewer;
use super::http::openapi::Tag;
use super::http::problem::{Problem, ProblemCode};
use super::http::query::Query;
use super::metrics::MetricsQuery;
use super::payshack::MetadataQuery;
use super::state::State;
use crate::domain::access::Principal;
use crate::operations::export::spec::begin;
use crate::operations::export::store::FileError;
use crate::operations::export::{ExportError, ExportSource, RowsSoFar};
use crate::tabular::Format;

/// A workbook of more rows takes longer than the 30 s that a proxy waits for the first byte: some 20,000 rows of all columns a
/// second, on a machine that has others to serve.
const ROWS_OF_A_REQUEST: u64 = 250_000;

/// The operations.
pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (ExportApi, requests::OrdersApi)
}

/// The endpoints that answer with a file at once.
struct ExportApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Export")]
impl ExportApi {
    /// Export payments
    ///
    /// Every payment that the filters of the list find, in its order, however many there are. CSV and NDJSON come from the
    /// first row on while they are read; a workbook comes when it is whole, and one of more than 250,000 rows has to be
    /// ordered. The columns bear the names of the list's fields; personal data is masked for a viewer. Text that a
    /// spreadsheet would run as a formula stands after an apostrophe in CSV. If something fails on the way, the connection
    /// breaks off.
    #[oai(path = "/export/transactions", method = "get", operation_id = "exportTransactions")]
    async fn transactions(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        viewer: Viewer,
        query: Query<TransactionQuery>,
        file: Query<FileQuery>,
    ) -> Result<Download, Problem> {
        answer(&state, request, &viewer.0, &from_query::transactions(&state, &viewer.0, query.0, file.0)).await
    }

    /// Export cases of reconciliation
    ///
    /// Every case that the filters of the list find, oldest day first, in the same formats; the last sheet of a workbook
    /// sums up each day.
    #[oai(path = "/export/reconciliation", method = "get", operation_id = "exportReconciliation")]
    async fn reconciliation(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        viewer: Viewer,
        query: Query<DiscrepancyQuery>,
        file: Query<FileQuery>,
    ) -> Result<Download, Problem> {
        answer(&state, request, &viewer.0, &from_query::reconciliation(&state, &query.0, file.0)).await
    }

    /// Export what payments sum up to
    ///
    /// A row for each day, source, project and currency, with the filters of the metrics: to be added up in a pivot table.
    #[oai(path = "/export/metrics-summary", method = "get", operation_id = "exportMetricsSummary")]
    async fn metrics_summary(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        viewer: Viewer,
        query: Query<MetricsQuery>,
        file: Query<FileQuery>,
    ) -> Result<Download, Problem> {
        answer(&state, request, &viewer.0, &from_query::metrics_summary(&state, &query.0, file.0)?).await
    }

    /// Export PayShack's clients
    ///
    /// Every client that the filters of the list find, by their names. Addresses are masked for a viewer.
    #[oai(path = "/export/payshack-clients", method = "get", operation_id = "exportPayshackClients")]
    async fn payshack_clients(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        viewer: Viewer,
        query: Query<MetadataQuery>,
        file: Query<FileQuery>,
    ) -> Result<Download, Problem> {
        answer(&state, request, &viewer.0, &from_query::payshack_clients(&state, &viewer.0, query.0, file.0)).await
    }
}

async fn answer<S: ExportSource>(
    state: &State,
    request: &Request,
    by: &Principal,
    (subject, form): &ParsedExport<S>,
) -> Result<Download, Problem> {
    if form.format == Format::Xlsx {
        refuse_what_takes_too_long(state, request, subject).await?;
    }
    let coming = begin(&state.exports, subject, form, by, &RowsSoFar::default()).await?;
    Ok(Download::of(form.format, subject.file_name(form.format), coming))
}

/// A count that was not worth finding out is one of very many.
async fn refuse_what_takes_too_long<S: ExportSource>(
    state: &State,
    request: &Request,
    subject: &S,
) -> Result<(), Problem> {
    let count = state.exports.count(subject).await?;
    if count.exact && count.total <= ROWS_OF_A_REQUEST {
        return Ok(());
    }
    let (about, rows) = if count.exact { ("", count.total) } else { ("more than ", count.total) };
    let query = request.original_uri().query().unwrap_or_default();
    let detail = format!(
        "a workbook of {about}{rows} rows takes longer than a request may: order it by POST /api/v1/exports with \
         {{\"export\": \"{}\", \"query\": \"{query}\"}}, or take format=csv, which comes while it is read",
        S::NAME
    );
    Err(Problem::new(ProblemCode::ExportTooLong, detail))
}

/// Has workbooks, and files that come in ranges, sent as they are.
pub(in crate::web) async fn spare_workbooks(mut request: Request) -> Result<Request> {
    let workbook = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "format=xlsx"));
    let download = request.uri().path().ends_with("/download");
    if workbook || download {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    Ok(request)
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Busy => Self::unavailable(&error.to_string(), error),
            ExportError::Columns(error) => Self::field("columns", error.to_string()),
            ExportError::Db(error) => error.into(),
            ExportError::Workbook(_) | ExportError::File(_) | ExportError::Thread(_) | ExportError::GivenUp => {
                Self::internal(error)
            }
        }
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Db(error) => error.into(),
            FileError::Objects(_) => Self::unavailable("the store of files does not answer: try again later", error),
            FileError::Missing => Self::internal(error),
        }
    }
}
