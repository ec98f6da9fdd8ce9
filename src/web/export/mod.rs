//! Files to download.

mod download;
mod query;

use std::sync::Arc;

use poem::http::header;
use poem::web::Data;
use poem::{Request, Result};
use poem_openapi::OpenApi;

use self::download::Download;
use self::query::FileQuery;
use super::app::State;
use super::auth::Viewer;
use super::document::Tag;
use super::error::Problem;
use super::query::Query;
use super::reconciliation::discrepancy_query::DiscrepancyQuery;
use crate::export::Format;
use crate::export::columns::choose;
use crate::export::lines::LineFormat;
use crate::export::xlsx::ROWS_OF_A_SHEET;
use crate::operations::write_export::ExportError;
use crate::operations::write_export::reconciliation::{CASE_COLUMNS, ReconciliationExport};

/// The endpoints.
pub(super) struct ExportApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Export")]
impl ExportApi {
    /// Export cases of reconciliation
    ///
    /// Every case that the filters find, oldest day first, however many there are. CSV and NDJSON come from the first row
    /// on while they are read; a workbook comes when it is whole, with a sheet that sums up each day. The columns bear the
    /// names of the list's fields. Text that a spreadsheet would run as a formula stands after an apostrophe in CSV. If
    /// something fails on the way, the connection breaks off.
    #[oai(path = "/export/reconciliation", method = "get", operation_id = "exportReconciliation")]
    async fn reconciliation(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<DiscrepancyQuery>,
        file: Query<FileQuery>,
    ) -> Result<Download, Problem> {
        let (Query(query), Query(file)) = (query, file);
        let (now, days_of) = (state.clock.now(), state.reconciliation.zone);
        let columns =
            choose(&CASE_COLUMNS, file.columns()).map_err(|error| Problem::field("columns", error.to_string()))?;
        let filter = query.filter(now.with_timezone(&days_of).date_naive());
        let zone = file.zone().unwrap_or(days_of);
        let export = ReconciliationExport { filter, columns, zone, days_of, now };
        let (exports, format) = (&state.exports, file.format());
        let name = export.file_name(format);
        Ok(match format {
            Format::Csv => {
                Download::lines(format, name, export.lines(exports, LineFormat::Csv { excel: file.excel() }).await?)
            }
            Format::Ndjson => Download::lines(format, name, export.lines(exports, LineFormat::Ndjson).await?),
            Format::Xlsx => Download::workbook(name, export.workbook(exports, &*state.clock, ROWS_OF_A_SHEET).await?),
        })
    }
}

/// Has workbooks sent as they are: they are compressed already.
pub(super) async fn spare_workbooks(mut request: Request) -> Result<Request> {
    let workbook = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "format=xlsx"));
    if workbook {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    Ok(request)
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Busy => Self::unavailable(&error.to_string(), error),
            ExportError::Db(error) => error.into(),
            ExportError::Workbook(_) | ExportError::File(_) | ExportError::GivenUp(_) => Self::internal(error),
        }
    }
}
