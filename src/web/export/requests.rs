//! Exports created by a job: requested, followed, downloaded in ranges, removed.

use std::io;
use std::sync::Arc;

use futures_util::TryStreamExt;
use poem::http::{HeaderMap, StatusCode, header};
use poem::web::Data;
use poem::{Body as Bytes, IntoResponse, Request, Response};
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{Example, Type};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde_json::Value;
use uuid::Uuid;

use super::download::{TOTAL_COUNT, attachment, content, described};
use super::from_query;
use super::query::{FileQuery, FileZoneQuery};
use super::range::{Wanted as Range, wanted};
use crate::db::exports::Export;
use crate::domain::access::Principal;
use crate::domain::job::JobState;
use crate::domain::string_enum::string_enum;
use crate::operations::export::open::{
    OpenError, OpenedExport, audit_download, find_export, open_export, remove_export,
};
use crate::operations::export::request::{RequestedExport, request_export};
use crate::operations::export::spec::{ExportKind, ExportSpec};
use crate::operations::idempotency::IdempotencyError;
use crate::tabular::Format;
use crate::web::http::accepted::Accepted;
use crate::web::http::auth::Viewer;
use crate::web::http::body::Body;
use crate::web::http::fails::{Fails, Failure, NotFound};
use crate::web::http::fields::request_fields;
use crate::web::http::idempotency::idempotent;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::http::schema::{Time, named_enum};
use crate::web::state::State;

string_enum! {
    /// What can be exported.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(in crate::web) enum ExportName {
        /// Payments.
        #[default]
        Transactions = "transactions",
        /// Cases of reconciliation.
        Reconciliation = "reconciliation",
        /// What payments sum up to.
        MetricsSummary = "metrics-summary",
        /// `PayShack`'s clients.
        PayshackClients = "payshack-clients",
    }
}

named_enum!(ExportName, "ExportName", ExportName::ALL, "What can be exported.");

request_fields! {
    /// What is ordered.
    #[oai(example)]
    struct ExportRequest {
        /// What is exported.
        export: ExportName,
        /// The query, as `GET /export/{export}` would have it: filters, `format`, `columns`, `timezone`, `excel`.
        query: Option<String>,
    }
}

impl Example for ExportRequest {
    fn example() -> Self {
        Self { export: ExportName::Transactions, query: Some("format=xlsx&from_date=2026-01-01".to_owned()) }
    }
}

impl ExportRequest {
    fn spec(&self, state: &State, by: &Principal) -> Result<ExportSpec, Problem> {
        let query = self.query.as_deref().unwrap_or_default();
        let file: FileQuery = Query::from_text(query)?.0;
        let zone: FileZoneQuery = Query::from_text(query)?.0;
        let (kind, options) = match self.export {
            ExportName::Transactions => {
                let (export, options) = from_query::transactions(state, by, Query::from_text(query)?.0, file);
                (ExportKind::Transactions(export), options)
            }
            ExportName::Reconciliation => {
                let (export, options) = from_query::reconciliation(state, &Query::from_text(query)?.0, file, &zone);
                (ExportKind::Reconciliation(export), options)
            }
            ExportName::MetricsSummary => {
                let (export, options) = from_query::metrics_summary(state, &Query::from_text(query)?.0, file)?;
                (ExportKind::MetricsSummary(export), options)
            }
            ExportName::PayshackClients => {
                let (export, options) =
                    from_query::payshack_clients(state, by, Query::from_text(query)?.0, file, &zone);
                (ExportKind::PayshackClients(export), options)
            }
        };
        let spec = ExportSpec { kind, options, requested_by: by.clone() };
        spec.check_columns().map_err(|error| Problem::field("columns", error.to_string()))?;
        Ok(spec)
    }
}

/// An export that a job creates.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ExportOrder {
    /// The id of the export.
    id: Uuid,
    /// What is exported: an `ExportName`.
    export: String,
    /// The format: an `ExportFormat`.
    format: String,
    /// The name of the file.
    file_name: String,
    /// The name of the API key that requested it.
    requested_by: String,
    /// The id of the job that creates it, see `GET /jobs/{id}`.
    job_id: Uuid,
    /// The state of the job; null if the job was deleted (finished jobs are deleted after `JOB_RETENTION_DAYS`).
    state: Option<JobState>,
    /// The progress: `progress` rows of `total`, which is null if it is not known.
    progress: Option<Value>,
    /// Why the job failed.
    error: Option<String>,
    /// The number of rows; null until the file is complete.
    rows: Option<i64>,
    /// The size in bytes; null until the file is complete.
    bytes: Option<i64>,
    /// When the export was requested.
    created_at: Time,
    /// When the file was complete.
    finished_at: Option<Time>,
    /// Until when the file can be downloaded.
    expires_at: Option<Time>,
    /// The path of the download; null until the file is complete, and after it was removed.
    download: Option<String>,
}

impl ExportOrder {
    fn of(export: Export, state: &State) -> Self {
        let is_kept = export.expires_at.is_some_and(|expires_at| state.clock.now() < expires_at);
        Self {
            download: (is_kept && export.stored_as.is_some()).then(|| format!("{}/download", location_of(export.id))),
            id: export.id,
            export: export.name,
            format: export.format,
            file_name: export.file_name,
            requested_by: export.requested_by,
            job_id: export.job_id.0,
            state: export.state,
            progress: export.progress,
            error: export.error,
            rows: export.rows,
            bytes: export.bytes,
            created_at: Time(export.created_at),
            finished_at: export.finished_at.map(Time),
            expires_at: export.expires_at.map(Time),
        }
    }
}

impl Example for ExportOrder {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            export: "transactions".to_owned(),
            format: "xlsx".to_owned(),
            file_name: "transactions_from_2026-01-01.xlsx".to_owned(),
            requested_by: "finance".to_owned(),
            job_id: EXAMPLE_ID,
            state: Some(JobState::Running),
            progress: Some(serde_json::json!({"progress": 120_000, "total": 1_000_000})),
            error: None,
            rows: None,
            bytes: None,
            created_at: Time(EXAMPLE_TIME),
            finished_at: None,
            expires_at: None,
            download: None,
        }
    }
}

fn location_of(id: Uuid) -> String {
    format!("/api/v1/exports/{id}")
}

/// A file, or a part of it.
struct Stored {
    status: StatusCode,
    format: Option<Format>,
    opened: OpenedExport,
    part: std::ops::Range<u64>,
    body: Bytes,
}

impl IntoResponse for Stored {
    fn into_response(self) -> Response {
        let Self { status, format, opened, part, body } = self;
        let mut response = Response::builder()
            .status(status)
            .content_type(format.unwrap_or_default().media_type())
            .header(header::CONTENT_DISPOSITION, attachment(&opened.export.file_name))
            .header(header::CACHE_CONTROL, "private, no-store")
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::ETAG, etag(&opened))
            .header(TOTAL_COUNT, opened.rows)
            .header(header::CONTENT_LENGTH, part.end - part.start);
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {}-{}/{}", part.start, part.end - 1, opened.bytes);
            response = response.header(header::CONTENT_RANGE, range);
        }
        response.body(body)
    }
}

impl ApiResponse for Stored {
    fn meta() -> MetaResponses {
        let name = "The name of the file, which says what is inside.";
        let headers = || {
            vec![
                described("Content-Disposition", name, true, String::schema_ref()),
                described("X-Total-Count", "How many rows the file has.", true, u64::schema_ref()),
            ]
        };
        let answer = |status, description| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: content(),
            headers: headers(),
        };
        MetaResponses { responses: vec![answer(200, "The file."), answer(206, "The part that was asked for.")] }
    }

    fn register(_registry: &mut Registry) {}
}

/// Each attempt of the job stores a file with a name of its own.
fn etag(opened: &OpenedExport) -> String {
    format!("\"{}\"", opened.stored_as)
}

/// The endpoints.
pub(in crate::web) struct OrdersApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Export")]
impl OrdersApi {
    /// Create an export
    ///
    /// Starts a job that creates the same file as `GET /export/...`: for files that take longer than a request may, and
    /// for connections that may break. The event `export_ready` reports the complete file, which is kept for 24 hours.
    #[oai(path = "/exports", method = "post", operation_id = "orderExport")]
    async fn order(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        viewer: Viewer,
        body: Body<ExportRequest>,
        /// The same key within 24 hours gives the same answer.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
    ) -> Result<Accepted<ExportOrder>, Fails<(IdempotencyError, OpenError)>> {
        let State { pool, redis, clock, .. } = &***state;
        let spec = body.value.spec(&state, &viewer.0)?;
        let idempotent = idempotent(&viewer.0, request, idempotency_key.0, body.digest)?;
        let RequestedExport { id, .. } = request_export(pool, redis, &spec, idempotent.as_ref(), clock.now()).await?;
        let export = find_export(pool, &viewer.0, id).await?;
        Ok(Accepted::at(location_of(id), ExportOrder::of(export, &state)))
    }

    /// Get an export
    ///
    /// Returns the state, the progress, and the path of the download. The role of the key must be at least that of the
    /// key that created the export.
    #[oai(path = "/exports/:id", method = "get", operation_id = "getExport")]
    async fn show(
        &self,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        /// The id of the export.
        id: Path<Uuid>,
    ) -> Result<Json<ExportOrder>, Fails<OpenError>> {
        let export = find_export(&state.pool, &viewer.0, id.0).await?;
        Ok(Json(ExportOrder::of(export, &state)))
    }

    /// Delete an export
    ///
    /// Cancels the job, which stops within two seconds, or deletes the file. Allowed for the key that created the
    /// export, and for operators.
    #[oai(path = "/exports/:id", method = "delete", operation_id = "removeExport")]
    async fn remove(
        &self,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        /// The id of the export.
        id: Path<Uuid>,
    ) -> Result<Json<ExportOrder>, Fails<OpenError>> {
        let export = remove_export(&state.pool, &state.files, &viewer.0, id.0).await?;
        Ok(Json(ExportOrder::of(export, &state)))
    }

    /// Download an export
    ///
    /// Returns the file, or the part that `Range` requests, so that an interrupted download can continue. With
    /// `If-Range` and the `ETag`, a file that was created again since is returned as a whole. 409 if the file is not
    /// complete, or was removed.
    #[oai(path = "/exports/:id/download", method = "get", operation_id = "downloadExport")]
    async fn download(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        viewer: Viewer,
        /// The id of the export.
        id: Path<Uuid>,
    ) -> Result<Stored, Fails<(OpenError, RangeNotSatisfiable)>> {
        let State { pool, files, clock, .. } = &***state;
        let opened = open_export(pool, &viewer.0, id.0, clock.now()).await?;
        let (status, part) = match range(request.headers(), &opened) {
            Range::Whole => (StatusCode::OK, 0..opened.bytes),
            Range::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Range::Beyond => return Err(RangeNotSatisfiable(opened.bytes).into()),
        };
        if part.start == 0 {
            audit_download(pool, &viewer.0, &opened, clock.now()).await?;
        }
        let body =
            Bytes::from_bytes_stream(files.read(&opened.stored_as, part.clone()).await?.map_err(io::Error::other));
        Ok(Stored { status, format: Format::from_name(&opened.export.format), opened, part, body })
    }
}

/// What is asked for; of a file that was made anew since, all of it.
fn range(headers: &HeaderMap, opened: &OpenedExport) -> Range {
    let text = |name| headers.get(name).and_then(|value: &poem::http::HeaderValue| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| known != etag(opened)) {
        return Range::Whole;
    }
    wanted(text(header::RANGE), opened.bytes)
}

/// The file has only this many bytes.
struct RangeNotSatisfiable(u64);

impl Failure for RangeNotSatisfiable {
    const CODES: &'static [ProblemCode] = &[ProblemCode::RangeNotSatisfiable];

    fn into_problem(self) -> Problem {
        Problem::new(ProblemCode::RangeNotSatisfiable, format!("the file has {} bytes", self.0))
    }
}

impl Failure for OpenError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound, ProblemCode::Forbidden, ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        match self {
            Self::NotFound => NotFound("export").into(),
            Self::Forbidden(detail) => Problem::new(ProblemCode::Forbidden, detail),
            Self::NotAvailable(detail) => Problem::new(ProblemCode::Conflict, detail),
            Self::Store(error) => error.into(),
        }
    }
}
