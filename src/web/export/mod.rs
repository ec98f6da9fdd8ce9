//! Exports: files that are sent at once, or created by a job and downloaded later.

mod download;
mod paced;
mod requests;
mod stored_file;

use std::sync::Arc;

use poem::http::header::{self, HeaderValue};
use poem::web::Data;
use poem::{Request, Result};
use poem_openapi::OpenApi;

use self::download::Download;
use super::filters::discrepancies::DiscrepancyQuery;
use super::filters::export::from_query::{self, ParsedExport};
use super::filters::export::query::{FileQuery, FileZoneQuery};
use super::filters::metrics::MetricsQuery;
use super::filters::payshack::MetadataQuery;
use super::filters::transactions::TransactionQuery;
use super::http::auth::Caller;
use super::http::fails::{Fails, Failure};
use super::http::openapi::Tag;
use super::http::problem::{Problem, ProblemCode};
use super::http::query::Query;
use super::state::State;
use crate::domain::export_quota::QuotaExceeded;
use crate::operations::audit::AuditContext;
use crate::operations::export::audit::ExportRequester;
use crate::operations::export::exporter::{ExportError, RowCounter};
use crate::operations::export::source::ExportSource;
use crate::operations::export::spec::export;
use crate::operations::export::store::ExportStoreError;
use crate::tabular::Format;

/// A workbook with more rows takes longer than the 30 s that a proxy waits for the first byte: about 20,000 rows of all
/// columns are written per second on a machine that also serves other requests.
const MAX_WORKBOOK_ROWS: u64 = 250_000;

pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (ExportFilesApi, requests::ExportRequestsApi)
}

/// The operations that respond with a file at once.
struct ExportFilesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Export")]
impl ExportFilesApi {
    /// Export transactions
    ///
    /// Returns all transactions that match the filters of `GET /transactions`, in its order, without a limit. The
    /// columns have the names of the list's fields; personal data is masked for a viewer. CSV and NDJSON are streamed;
    /// a workbook is sent when it is complete, and one with more than 250,000 rows has to be requested with `POST
    /// /exports`. Workbooks have the data on the first sheet and a summary on the last. In CSV, text that a spreadsheet
    /// would run as a formula is prefixed with an apostrophe. If an error occurs half-way, the connection is closed
    /// before the end of the file. `timezone` also is the time zone of the times in the file.
    #[oai(path = "/export/transactions", method = "get", operation_id = "exportTransactions")]
    async fn transactions(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        caller: Caller,
        query: Query<TransactionQuery>,
        file: Query<FileQuery>,
    ) -> Result<Download, Fails<ExportTooLong>> {
        respond(&state, request, &audit, &from_query::transactions(&state, &caller, query.0, file.0)?).await
    }

    /// Export discrepancies
    ///
    /// Returns all discrepancies that match the filters of `GET /reconciliation/discrepancies`, oldest day first, in
    /// the formats of `GET /export/transactions`. The last sheet of a workbook also has the totals of each day, unless
    /// the key has a project scope.
    #[oai(path = "/export/reconciliation", method = "get", operation_id = "exportReconciliation")]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn reconciliation(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        caller: Caller,
        query: Query<DiscrepancyQuery>,
        file: Query<FileQuery>,
        file_zone: Query<FileZoneQuery>,
    ) -> Result<Download, Fails<ExportTooLong>> {
        let export = from_query::reconciliation(&state, &caller, &query.0, file.0, &file_zone.0)?;
        respond(&state, request, &audit, &export).await
    }

    /// Export metrics
    ///
    /// Returns one row for each day, source, project and currency, for a pivot table. The filters are those of the
    /// metrics, the formats those of `GET /export/transactions`.
    #[oai(path = "/export/metrics-summary", method = "get", operation_id = "exportMetricsSummary")]
    async fn metrics_summary(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        caller: Caller,
        query: Query<MetricsQuery>,
        file: Query<FileQuery>,
    ) -> Result<Download, Fails<ExportTooLong>> {
        respond(&state, request, &audit, &from_query::metrics_summary(&state, &caller, &query.0, file.0)?).await
    }

    /// Export PayShack clients
    ///
    /// Returns all clients that match the filters of `GET /payshack/clients`, ordered by name, in the formats of
    /// `GET /export/transactions`. E-mail addresses are masked for a viewer.
    #[oai(path = "/export/payshack-clients", method = "get", operation_id = "exportPayshackClients")]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn payshack_clients(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        caller: Caller,
        query: Query<MetadataQuery>,
        file: Query<FileQuery>,
        file_zone: Query<FileZoneQuery>,
    ) -> Result<Download, Fails<ExportTooLong>> {
        let export = from_query::payshack_clients(&state, &caller, query.0, file.0, &file_zone.0);
        respond(&state, request, &audit, &export).await
    }
}

async fn respond<S: ExportSource>(
    state: &State,
    request: &Request,
    audit: &AuditContext,
    (source, options): &ParsedExport<S>,
) -> Result<Download, Fails<ExportTooLong>> {
    if options.format == Format::Xlsx {
        check_length(state, request, source).await?;
    }
    let output =
        export(&state.exporter, source, options, &ExportRequester::of_request(audit.clone()), &RowCounter::default())
            .await?;
    let limits = state.exporter.receiver_limits();
    Ok(Download::new(options.format, source.file_name(options.format), output, limits))
}

async fn check_length<S: ExportSource>(
    state: &State,
    request: &Request,
    source: &S,
) -> Result<(), Fails<ExportTooLong>> {
    let count = state.exporter.count(source).await?;
    // An inexact count means very many rows.
    if count.exact && count.total <= MAX_WORKBOOK_ROWS {
        return Ok(());
    }
    let (about, rows) = if count.exact { ("", count.total) } else { ("more than ", count.total) };
    let query = request.uri().query().unwrap_or_default();
    let detail = format!(
        "a workbook of {about}{rows} rows takes longer than a request may: create it by POST /api/v1/exports with \
         {{\"export\": \"{}\", \"query\": \"{query}\"}}, or use format=csv, which is streamed",
        S::NAME
    );
    Err(ExportTooLong(detail).into())
}

/// Turns off compression for workbooks, which are compressed already, and for downloads, whose ranges count bytes of
/// the file.
pub(in crate::web) async fn skip_compression(mut request: Request) -> Result<Request> {
    let workbook = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "format=xlsx"));
    let download = request.uri().path().ends_with("/download");
    if workbook || download {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    Ok(request)
}

/// The workbook has too many rows for a request. The text says what to do instead.
struct ExportTooLong(String);

impl Failure for ExportTooLong {
    const CODES: &'static [ProblemCode] = &[ProblemCode::ExportTooLong];

    fn into_problem(self) -> Problem {
        Problem::new(ProblemCode::ExportTooLong, self.0)
    }
}

impl Failure for ExportError {
    const CODES: &'static [ProblemCode] = &[];

    fn into_problem(self) -> Problem {
        match self {
            Self::Busy => Problem::unavailable(&self.to_string(), self),
            Self::Quota(exceeded) => exceeded.into(),
            Self::Columns(error) => Problem::field("columns", error.to_string()),
            Self::Db(error) => error.into(),
            Self::Workbook(_) | Self::TempFile(_) | Self::Thread(_) | Self::WriterFailed => Problem::internal(self),
        }
    }
}

impl Failure for QuotaExceeded {
    const CODES: &'static [ProblemCode] = &[];

    fn into_problem(self) -> Problem {
        let problem = Problem::new(ProblemCode::RateLimited, self.to_string());
        problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("60"))
    }
}

impl Failure for ExportStoreError {
    const CODES: &'static [ProblemCode] = &[];

    fn into_problem(self) -> Problem {
        match self {
            Self::Db(error) => error.into(),
            Self::Objects(_) => Problem::unavailable("the object store is unavailable; try again later", self),
            Self::MissingPiece => Problem::internal(self),
        }
    }
}
