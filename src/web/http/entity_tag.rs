//! `ETag` in responses, and `If-Match` in requests (optimistic concurrency).
//!
//! `If-Match` is an extractor of its own, because it may be sent in several headers and its errors are 400, as RFC 9110 demands of
//! a malformed header, where poem-openapi would answer that of an invalid value.

use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Request, RequestBody, Response};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaHeader, MetaParamIn, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};

use super::fails::Failure;
use super::problem::{Problem, ProblemCode};
use crate::domain::entity_tag::{MalformedTag, Precondition, PreconditionFailed};

/// The condition of the request.
#[derive(Debug)]
pub(in crate::web) struct IfMatch(pub(in crate::web) Precondition);

impl<'a> ApiExtractor<'a> for IfMatch {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = ();
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(String::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let values = request.headers().get_all(header::IF_MATCH).iter();
        let texts = values.map(HeaderValue::to_str).collect::<Result<Vec<_>, _>>();
        let precondition = texts.map_err(|_| MalformedTag).and_then(Precondition::parse);
        Ok(Self(precondition.map_err(|error| Problem::new(ProblemCode::BadRequest, error.to_string()))?))
    }
}

impl Failure for PreconditionFailed {
    const CODES: &'static [ProblemCode] = &[ProblemCode::PreconditionFailed];

    fn into_problem(self) -> Problem {
        Problem::new(ProblemCode::PreconditionFailed, self.to_string())
    }
}

/// A body that contains its entity tag.
pub(in crate::web) trait Tagged {
    /// `None` if it cannot be changed.
    fn etag(&self) -> Option<&str>;
}

/// 200 with `ETag`.
pub(in crate::web) struct WithEtag<T>(pub(in crate::web) T);

/// 201 with `ETag`.
pub(in crate::web) struct CreatedWithEtag<T>(pub(in crate::web) T);

fn with_etag<T: ToJSON + Tagged + Send>(body: T, status: StatusCode) -> Response {
    let etag = body.etag().and_then(|etag| HeaderValue::from_str(etag).ok());
    let mut response = Json(body).with_status(status).into_response();
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn meta_with_etag<T: Type + ToJSON>(status: u16) -> MetaResponses {
    let etag = || MetaHeader {
        name: "ETag".to_owned(),
        description: Some("The version, for `If-Match` of a change; the field `etag` has the same.".to_owned()),
        required: false,
        deprecated: false,
        schema: String::schema_ref(),
    };
    let json = Json::<T>::meta().responses.into_iter();
    let responses = json.map(|json| MetaResponse { status: Some(status), headers: vec![etag()], ..json });
    MetaResponses { responses: responses.collect() }
}

impl<T: ToJSON + Tagged + Send> IntoResponse for WithEtag<T> {
    fn into_response(self) -> Response {
        with_etag(self.0, StatusCode::OK)
    }
}

impl<T: Type + ToJSON> ApiResponse for WithEtag<T> {
    fn meta() -> MetaResponses {
        meta_with_etag::<T>(200)
    }

    fn register(registry: &mut Registry) {
        <Json<T> as Payload>::register(registry);
    }
}

impl<T: ToJSON + Tagged + Send> IntoResponse for CreatedWithEtag<T> {
    fn into_response(self) -> Response {
        with_etag(self.0, StatusCode::CREATED)
    }
}

impl<T: Type + ToJSON> ApiResponse for CreatedWithEtag<T> {
    fn meta() -> MetaResponses {
        meta_with_etag::<T>(201)
    }

    fn register(registry: &mut Registry) {
        <Json<T> as Payload>::register(registry);
    }
}
