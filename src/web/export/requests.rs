//! Exports created by a job: requested, followed, downloaded in parts, removed.

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::Value;
use uuid::Uuid;

use super::stored_file::{RangeNotSatisfiable, StoredFile, etag, requested_part};
use crate::db::exports;
use crate::domain::job::JobState;
use crate::operations::audit::AuditContext;
use crate::operations::export::open::{
    ExportAccessError, OpenError, audit_download, find_export, open_export, remove_export,
};
use crate::operations::export::request::{RequestExportError, RequestedExport, request_export};
use crate::operations::idempotency::IdempotencyError;
use crate::web::filters::export::request_body::ExportRequest;
use crate::web::http::accepted::Accepted;
use crate::web::http::auth::Caller;
use crate::web::http::body::Body;
use crate::web::http::fails::{Fails, Failure, NotFound};
use crate::web::http::idempotency::idempotent;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::schema::Time;
use crate::web::state::State;

/// An export that a job creates.
#[derive(Debug, Clone, Object)]
#[oai(example)]
#[expect(clippy::struct_field_names, reason = "the names are the contract's")]
struct Export {
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

impl Export {
    fn new(export: exports::Export, state: &State, caller: &Caller) -> Self {
        let is_stored = export.expires_at.is_some_and(|expires_at| state.clock.now() < expires_at);
        Self {
            download: (is_stored && export.stored_as.is_some()).then(|| format!("{}/download", location_of(export.id))),
            id: export.id,
            export: export.name,
            format: export.format,
            file_name: export.file_name,
            requested_by: export.requested_by,
            job_id: export.job_id.0,
            state: export.state,
            progress: export.progress,
            error: export.error.map(|error| caller.pii_access().text(error)),
            rows: export.rows,
            bytes: export.bytes,
            created_at: Time(export.created_at),
            finished_at: export.finished_at.map(Time),
            expires_at: export.expires_at.map(Time),
        }
    }
}

impl Example for Export {
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

pub(super) struct ExportRequestsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Export")]
impl ExportRequestsApi {
    /// Create an export
    ///
    /// Starts a job that creates the same file as `GET /export/{export}`: for files that take longer than a request
    /// may, and for connections that may break. 429 if the key has too many unfinished exports or stored files. The event `export_ready` reports the complete file, which is kept for
    /// 24 hours.
    ///
    /// The filters and the options of the file are separate fields:
    ///
    /// ```json
    /// {"export": "transactions", "format": "xlsx", "filters": {"status": ["success"], "from_date": "2026-01-01"}}
    /// ```
    ///
    /// or the query string of `GET /export/{export}`:
    ///
    /// ```json
    /// {"export": "transactions", "query": "format=xlsx&status=success&from_date=2026-01-01"}
    /// ```
    ///
    /// or up to 500 pasted ids, as in `POST /transactions/lookup`:
    ///
    /// ```json
    /// {"export": "transactions", "format": "xlsx", "ids": "402118868194\nSP-20260115-0042"}
    /// ```
    #[oai(path = "/exports", method = "post", operation_id = "orderExport")]
    async fn create(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        caller: Caller,
        body: Body<ExportRequest>,
        /// The same key with the same body within 24 hours returns the same export; with another body it is a 409.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
    ) -> Result<Accepted<Export>, Fails<(RequestExportError, ExportAccessError)>> {
        let State { pool, redis, clock, .. } = &***state;
        let spec = body.value.spec(&state, &caller)?;
        let idempotent = idempotent(&audit.principal, request, idempotency_key.0, body.digest)?;
        let quota = state.exporter.quota();
        let RequestedExport { id, .. } =
            request_export(pool, redis, &spec, &audit, quota, idempotent.as_ref(), clock.now()).await?;
        let export = find_export(pool, &audit.principal, id).await?;
        Ok(Accepted::at(location_of(id), Export::new(export, &state, &caller)))
    }

    /// Get an export
    ///
    /// Returns the state, the progress, and the path of the download. The role of the key must be at least that of the
    /// key that created the export, and its project scope must include that key's; otherwise the export is not found.
    #[oai(path = "/exports/:id", method = "get", operation_id = "getExport")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the export.
        id: Path<Uuid>,
    ) -> Result<Json<Export>, Fails<ExportAccessError>> {
        let export = find_export(&state.pool, &caller.0, id.0).await?;
        Ok(Json(Export::new(export, &state, &caller)))
    }

    /// Delete an export
    ///
    /// Cancels the job, which stops within two seconds, or deletes the file. Allowed for the key that created the
    /// export, and for operators.
    #[oai(path = "/exports/:id", method = "delete", operation_id = "removeExport")]
    async fn delete(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        caller: Caller,
        /// The id of the export.
        id: Path<Uuid>,
    ) -> Result<Json<Export>, Fails<ExportAccessError>> {
        let export = remove_export(&state.pool, &state.files, &audit, id.0, state.clock.now()).await?;
        Ok(Json(Export::new(export, &state, &caller)))
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
        audit: AuditContext,
        /// The id of the export.
        id: Path<Uuid>,
    ) -> Result<StoredFile, Fails<(OpenError, RangeNotSatisfiable)>> {
        let State { pool, files, clock, .. } = &***state;
        let opened = open_export(pool, &audit.principal, id.0, clock.now()).await?;
        let part = requested_part(request.headers(), &etag(&opened), opened.bytes)?;
        let bytes = part.clone().unwrap_or(0..opened.bytes);
        audit_download(pool, &audit, &opened, clock.now()).await?;
        let chunks = files.read(&opened.stored_as, bytes).await?;
        Ok(StoredFile::new(opened, part, chunks, state.exporter.receiver_limits()))
    }
}

impl Failure for RequestExportError {
    const CODES: &'static [ProblemCode] = IdempotencyError::CODES;

    fn into_problem(self) -> Problem {
        match self {
            Self::Idempotency(error) => error.into(),
            Self::Quota(exceeded) => exceeded.into(),
        }
    }
}

impl Failure for ExportAccessError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound, ProblemCode::Forbidden];

    fn into_problem(self) -> Problem {
        match self {
            Self::NotFound => NotFound("export").into(),
            Self::Forbidden(detail) => Problem::new(ProblemCode::Forbidden, detail),
            Self::Store(error) => error.into(),
        }
    }
}

impl Failure for OpenError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound, ProblemCode::Forbidden, ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        match self {
            Self::Access(error) => error.into(),
            Self::NotReady | Self::Removed => Problem::new(ProblemCode::Conflict, self.to_string()),
        }
    }
}
