//! Errors of the API: RFC 9457 `application/problem+json`.
//!
//! Errors become a [`Problem`]; those of poem and poem-openapi in [`Problem::from_poem`]. [`super::middleware`] writes the
//! response, because only there the request's id is known. A `bad_request_handler` of poem-openapi was rejected: it turns a
//! 401 into a 400.

use std::fmt;

use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError, ResponseError};
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::error::ParseParamError;
use poem_openapi::types::ToJSON;
use poem_openapi::{Enum, Object};

use crate::domain::trace::TraceId;

/// The media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A hostile request may have any number of errors, and nobody corrects more at once.
const MAX_ERRORS: usize = 20;

/// The kind of a problem, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
#[oai(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProblemCode {
    /// The query or the body cannot be read at all.
    BadRequest,
    /// The key is missing or unknown.
    Unauthenticated,
    /// The role of the key does not allow the operation.
    Forbidden,
    /// Nothing has this path, id or name.
    NotFound,
    /// The path does not support the method.
    MethodNotAllowed,
    /// The current state does not allow the operation.
    Conflict,
    /// `If-Match` names another version than the current one.
    PreconditionFailed,
    /// The body is larger than 1 MiB.
    PayloadTooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// The URL is longer than 8 KiB.
    UriTooLong,
    /// There are more than 100 headers, or more than 16 KiB of them.
    HeadersTooLarge,
    /// The service has other public names than the host of the request.
    MisdirectedRequest,
    /// The caller has sent too many requests, or has too many at the same time.
    RateLimited,
    /// A value is invalid.
    ValidationError,
    /// The file takes longer than a request may: create an export instead.
    ExportTooLong,
    /// The file does not have the requested bytes.
    RangeNotSatisfiable,
    /// An error of the service.
    InternalError,
    /// The database or Redis is unavailable.
    ServiceUnavailable,
}

impl ProblemCode {
    pub const ALL: [Self; 18] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::MisdirectedRequest,
        Self::RateLimited,
        Self::ValidationError,
        Self::ExportTooLong,
        Self::RangeNotSatisfiable,
        Self::InternalError,
        Self::ServiceUnavailable,
    ];

    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
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
            Self::BadRequest => "Bad request",
            Self::Unauthenticated => "Authentication required",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Conflict => "Conflict",
            Self::PreconditionFailed => "Precondition failed",
            Self::PayloadTooLarge => "Payload too large",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::UriTooLong => "URI too long",
            Self::HeadersTooLarge => "Request header fields too large",
            Self::MisdirectedRequest => "Misdirected request",
            Self::RateLimited => "Too many requests",
            Self::ValidationError => "Validation failed",
            Self::ExportTooLong => "Export too long for a request",
            Self::RangeNotSatisfiable => "Range not satisfiable",
            Self::InternalError => "Internal error",
            Self::ServiceUnavailable => "Service unavailable",
        }
    }
}

/// An error in one field of the query, the path, the headers or the body.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct FieldError {
    /// The name of the field.
    pub field: String,
    /// The error, and what is allowed.
    pub message: String,
}

/// An error (RFC 9457).
#[derive(Debug, Clone, Object)]
#[oai(rename = "Problem")]
pub struct ProblemBody {
    /// Always `about:blank`; `code` identifies the kind of problem.
    #[oai(rename = "type")]
    pub type_uri: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, and what to do about it.
    pub detail: String,
    /// The kind of problem, for programs; its meaning never changes.
    pub code: ProblemCode,
    /// The id of the request in the logs.
    pub request_id: String,
    /// The trace of the request in the logs of all processes, also in those of a job that it has started.
    pub trace_id: String,
    /// The errors by field, at most 20; empty unless `code` is `VALIDATION_ERROR`.
    pub errors: Vec<FieldError>,
}

/// An error before it is written as a response.
#[derive(Debug)]
pub struct Problem {
    pub code: ProblemCode,
    detail: String,
    errors: Vec<FieldError>,
    /// How many more errors there are.
    hidden_errors: usize,
    /// A list, because a map would make every `Result` with a problem large.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Only for the log.
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let problem =
            Self { code, detail: detail.into(), errors: vec![], hidden_errors: 0, headers: vec![], cause: None };
        match code {
            ProblemCode::Unauthenticated => {
                problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"psp\""))
            }
            ProblemCode::ServiceUnavailable => problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("5")),
            _ => problem,
        }
    }

    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        Self::first_errors(errors, 0)
    }

    /// The first of `errors`, which are all but `hidden`.
    fn first_errors(mut errors: Vec<FieldError>, hidden: usize) -> Self {
        let hidden = hidden + errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        let mut messages: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        if hidden > 0 {
            messages.push(format!("and {hidden} more errors"));
        }
        Self { errors, hidden_errors: hidden, ..Self::new(ProblemCode::ValidationError, messages.join("; ")) }
    }

    /// The same errors in the fields of the object `name`.
    #[must_use]
    pub(in crate::web) fn within(self, name: &str) -> Self {
        if self.errors.is_empty() {
            return self;
        }
        let errors = self.errors.into_iter();
        let errors = errors.map(|error| FieldError { field: format!("{name}.{}", error.field), ..error });
        Self::first_errors(errors.collect(), self.hidden_errors)
    }

    /// One invalid field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError { field: field.to_owned(), message: message.into() }])
    }

    /// A server that this service needs is unavailable.
    pub fn unavailable(detail: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Box::new(cause)), ..Self::new(ProblemCode::ServiceUnavailable, detail) }
    }

    /// An error of the service. The client gets the request's id, the log gets the cause.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "an unexpected error; it is logged under this request_id";
        Self { cause: Some(cause.into()), ..Self::new(ProblemCode::InternalError, detail) }
    }

    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(ProblemCode::MethodNotAllowed, "this path does not support the method; see Allow")
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// An error of an operation, of poem or of poem-openapi.
    #[must_use]
    pub fn from_poem(error: poem::Error) -> Self {
        if error.is::<Self>() {
            return error.downcast().unwrap_or_else(Self::internal);
        }
        if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
            return Self::field(name, without_type(reason));
        }
        if error.is::<NotFoundError>() {
            return Self::new(ProblemCode::NotFound, "there is nothing at this path; see /api/docs");
        }
        if error.is::<MethodNotAllowedError>() {
            return Self::method_not_allowed();
        }
        if let Some(ReadBodyError::PayloadTooLarge) = error.downcast_ref() {
            return Self::new(ProblemCode::PayloadTooLarge, "the body is larger than 1 MiB");
        }
        Self::from_status(error)
    }

    fn from_status(error: poem::Error) -> Self {
        let status = error.status();
        match ProblemCode::ALL.into_iter().find(|code| code.status() == status) {
            Some(code) if status.is_client_error() => Self::new(code, error.to_string()),
            _ if status.is_client_error() => Self::new(ProblemCode::BadRequest, error.to_string()),
            _ => Self::internal(error),
        }
    }

    /// Logs the cause, which the response does not contain.
    pub fn log(&self) {
        if let Some(cause) = &self.cause {
            tracing::error!(error = %cause, status = self.code.status().as_u16(), "request failed");
        }
    }

    #[must_use]
    pub fn into_response(self, request_id: &str, trace_id: TraceId) -> Response {
        let body = self.body(request_id, trace_id).to_json_string();
        let mut response = body.with_content_type(MEDIA_TYPE).with_status(self.code.status()).into_response();
        response.headers_mut().extend(self.headers);
        response
    }

    pub(in crate::web) fn body(&self, request_id: &str, trace_id: TraceId) -> ProblemBody {
        ProblemBody {
            type_uri: "about:blank".to_owned(),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            request_id: request_id.to_owned(),
            trace_id: trace_id.to_string(),
            errors: self.errors.clone(),
        }
    }
}

/// poem-openapi's messages begin with the Rust type, in quotes.
fn without_type(reason: &str) -> &str {
    reason.split_once(": ").map_or(reason, |(_, message)| message)
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.code.status()
    }
}
