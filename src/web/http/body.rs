//! The JSON body of a request, an object. An absent body counts as an object without fields.
//!
//! The size is limited while the body is read, because a body may have no `Content-Length` (poem's own limit answers 411 to
//! those).

use std::time::Duration;

use poem::{Request, RequestBody};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::fields::{Fields, FromFields};
use super::problem::{Problem, ProblemCode};

const MAX_BYTES: usize = 1 << 20;
/// How long a client may take to send its body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const INCOMPLETE: &str = "the body was not complete after 30 s: send it faster, or split the request";

#[derive(Debug)]
pub(in crate::web) struct Body<T> {
    pub(in crate::web) value: T,
    /// SHA-256 of the bytes.
    pub(in crate::web) digest: [u8; 32],
}

impl<'a, T: FromFields + Type> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: false })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let reading = tokio::time::timeout(READ_TIMEOUT, body.take()?.into_bytes_limit(MAX_BYTES));
        let bytes = reading.await.map_err(|_| Problem::new(ProblemCode::BadRequest, INCOMPLETE))??;
        let object = if bytes.is_empty() { Map::new() } else { object(request, &bytes)? };
        let mut fields = Fields::from_object(object);
        fields.refuse_others(&T::names());
        let read = T::read(&mut fields);
        Ok(Self { value: fields.finish(read)?, digest: Sha256::digest(&bytes).into() })
    }
}

fn object(request: &Request, bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    if !request.content_type().is_some_and(<Json<Value> as Payload>::check_content_type) {
        let detail = "send JSON, with Content-Type: application/json";
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::new(ProblemCode::BadRequest, "the body must be a JSON object")),
        Err(error) => Err(Problem::new(ProblemCode::BadRequest, format!("the body is not JSON: {error}"))),
    }
}
