//! What can go wrong with a request, said the same way wherever it happens: RFC 9457 problem+json.
//!
//! Handlers answer a [`Problem`]; what poem and poem-openapi refuse by themselves becomes one in [`Problem::of`]. The
//! response is written in one place (`request`), for only there the request's id is known. A `bad_request_handler` of
//! poem-openapi was rejected: it turns a 401 into a 400.

use std::fmt;
use std::time::Duration;

use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError, ResponseError};
use poem::http::{StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::error::ParseParamError;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Enum, Object};

use crate::db::DbError;
use crate::domain::metrics::time_buckets::TooManyBuckets;
use crate::operations::cancel_job::CancelError;
use crate::operations::idempotency::IdempotencyError;
use crate::operations::metrics_cache::MetricsError;
use crate::operations::request_replay::ReplayError;
use crate::operations::retry_job::RetryError;
use crate::operations::update_discrepancies::UpdateError;
use crate::redis::RedisError;

/// The media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What kind of problem it is, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
#[oai(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProblemCode {
    /// The body or the query cannot be read at all.
    BadRequest,
    /// There is no key, or none that opens.
    Unauthenticated,
    /// The key's role may not do this.
    Forbidden,
    /// There is nothing of this name.
    NotFound,
    /// The path is there, the method is not.
    MethodNotAllowed,
    /// The state of things forbids it.
    Conflict,
    /// The body is too large.
    PayloadTooLarge,
    /// The body is of a type that is not understood.
    UnsupportedMediaType,
    /// A value is not what it must be.
    ValidationError,
    /// The file takes longer than a request may: it has to be ordered.
    ExportTooLong,
    /// Bytes are asked for that the file has not.
    RangeNotSatisfiable,
    /// A fault of ours.
    InternalError,
    /// The database or Redis is away.
    ServiceUnavailable,
}

impl ProblemCode {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::ValidationError,
        Self::ExportTooLong,
        Self::RangeNotSatisfiable,
        Self::InternalError,
        Self::ServiceUnavailable,
    ];

    /// The status of its answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::ValidationError | Self::ExportTooLong => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The title, the same for every problem of the kind.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request cannot be read",
            Self::Unauthenticated => "A key is needed",
            Self::Forbidden => "The key may not do this",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::Conflict => "The state of things forbids it",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The type of the body is not understood",
            Self::ValidationError => "A value is not what it must be",
            Self::ExportTooLong => "The file has to be ordered",
            Self::RangeNotSatisfiable => "The file is not as long",
            Self::InternalError => "Something went wrong here",
            Self::ServiceUnavailable => "The service is not available right now",
        }
    }
}

/// What is wrong with one field of the query, the path or the body.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct FieldError {
    /// The field.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Problem")]
pub struct ProblemBody {
    /// Identifies the kind of problem; always `about:blank`, for `code` tells them apart.
    #[oai(rename = "type")]
    pub type_uri: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a sentence a person can act on.
    pub detail: String,
    /// The kind of problem, for programs; never changes its meaning.
    pub code: ProblemCode,
    /// The id under which the logs know this request.
    pub request_id: String,
    /// What is wrong with which field; empty where it is no matter of fields.
    pub errors: Vec<FieldError>,
}

/// An error on its way to whoever asked.
#[derive(Debug)]
pub struct Problem {
    /// What kind it is.
    pub code: ProblemCode,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    /// What really happened, for the log alone.
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    /// A problem of this kind.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: vec![], retry_after: None, cause: None }
    }

    /// Values are not what they must be.
    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let told: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        Self { errors, ..Self::new(ProblemCode::ValidationError, told.join("; ")) }
    }

    /// One value is not what it must be.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError { field: field.to_owned(), message: message.into() }])
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("there is no such {what}"))
    }

    /// The database or Redis is away.
    pub fn unavailable(detail: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        let retry_after = Some(Duration::from_secs(5));
        let cause: Option<Box<dyn std::error::Error + Send + Sync>> = Some(Box::new(cause));
        Self { retry_after, cause, ..Self::new(ProblemCode::ServiceUnavailable, detail) }
    }

    /// A fault of ours: whoever asked learns that it is noted, the log learns what it was.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "an unforeseen error; it is logged under this request_id";
        Self { cause: Some(cause.into()), ..Self::new(ProblemCode::InternalError, detail) }
    }

    /// What poem or poem-openapi refused, as a problem.
    #[must_use]
    pub fn of(error: poem::Error) -> Self {
        if error.is::<Self>() {
            return error.downcast().unwrap_or_else(Self::internal);
        }
        if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
            return Self::field(name, plain(reason));
        }
        if error.is::<NotFoundError>() {
            return Self::new(ProblemCode::NotFound, "there is nothing at this path; see /api/docs for what there is");
        }
        if error.is::<MethodNotAllowedError>() {
            return Self::new(ProblemCode::MethodNotAllowed, "this path does not know this method; see /api/docs");
        }
        if let Some(ReadBodyError::PayloadTooLarge) = error.downcast_ref() {
            return Self::new(ProblemCode::PayloadTooLarge, "the body is larger than 1 MiB");
        }
        Self::of_status(error)
    }

    fn of_status(error: poem::Error) -> Self {
        let status = error.status();
        match ProblemCode::ALL.into_iter().find(|code| code.status() == status) {
            Some(code) if status.is_client_error() => Self::new(code, error.to_string()),
            _ if status.is_client_error() => Self::new(ProblemCode::BadRequest, error.to_string()),
            _ => Self::internal(error),
        }
    }

    /// Writes what happened into the log, where whoever asked is not told.
    pub fn log(&self) {
        if let Some(cause) = &self.cause {
            tracing::error!(error = %cause, status = self.code.status().as_u16(), "a request failed");
        }
    }

    /// The answer.
    #[must_use]
    pub fn into_response(self, request_id: &str) -> Response {
        let status = self.code.status();
        let mut response =
            self.body(request_id).to_json_string().with_content_type(MEDIA_TYPE).with_status(status).into_response();
        if let Some(retry_after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after.as_secs().into());
        }
        if self.code == ProblemCode::Unauthenticated {
            let challenge = header::HeaderValue::from_static("Bearer realm=\"psp\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl Problem {
    fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            type_uri: "about:blank".to_owned(),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        }
    }
}

impl ProblemCode {
    /// An answer of this kind, for the document.
    pub(in crate::web) fn example(self) -> Option<serde_json::Value> {
        let problem = match self {
            Self::ValidationError => Problem::field("status", "must be one of success, failed, pending"),
            _ => Problem::new(self, self.title()),
        };
        problem.body("01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e").to_json()
    }
}

/// poem-openapi's own words begin with the type, in quotes: that is for whoever writes Rust.
fn plain(reason: &str) -> &str {
    reason.split_once(": ").map_or(reason, |(_, told)| told)
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.code.status()
    }
}

/// Says only what holds of every operation. Which other problems one may answer is a matter of rules, not of each
/// signature: `document` adds them.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema: ProblemBody::schema_ref() }];
        let status = Some(ProblemCode::InternalError.status().as_u16());
        let internal = MetaResponse { description: "", status, status_range: None, content, headers: vec![] };
        MetaResponses { responses: vec![internal] }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(_) => Self::unavailable("the database cannot be reached; try again in a while", error),
            DbError::Conflict(_) => Self::unavailable("somebody else was faster; try again", error),
            DbError::ClaimLost | DbError::Impossible { .. } | DbError::Statement(_) => Self::internal(error),
        }
    }
}

impl From<MetricsError> for Problem {
    fn from(error: MetricsError) -> Self {
        if error.database().is_transient() {
            Self::unavailable("the database cannot be reached; try again in a while", error)
        } else {
            Self::internal(error)
        }
    }
}

/// Only the granularity, or the days, can make them fewer.
impl From<TooManyBuckets> for Problem {
    fn from(error: TooManyBuckets) -> Self {
        Self::field("granularity", error.to_string())
    }
}

impl From<RedisError> for Problem {
    fn from(error: RedisError) -> Self {
        match error {
            RedisError::Redis(_) | RedisError::Queue(_) => {
                Self::unavailable("Redis cannot be reached; try again in a while", error)
            }
            RedisError::Message(_) => Self::internal(error),
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::OtherBody => Self::new(ProblemCode::Conflict, error.to_string()),
            IdempotencyError::Db(error) => error.into(),
        }
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::NotFound => Self::not_found("record in quarantine"),
            ReplayError::Idempotency(error) => error.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotFound => Self::not_found("job"),
            CancelError::Finished(_) => Self::new(ProblemCode::Conflict, error.to_string()),
            CancelError::Db(error) => error.into(),
        }
    }
}

impl From<UpdateError> for Problem {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::NotFound(_) => Self::new(ProblemCode::NotFound, error.to_string()),
            UpdateError::Illegal(_) => Self::new(ProblemCode::Conflict, error.to_string()),
            UpdateError::Db(error) => error.into(),
        }
    }
}

impl From<RetryError> for Problem {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => Self::not_found("job"),
            RetryError::Idempotency(error) => error.into(),
            RetryError::Queued | RetryError::Running | RetryError::Succeeded | RetryError::UnknownKind(_) => {
                Self::new(ProblemCode::Conflict, error.to_string())
            }
        }
    }
}
