//! A parameter in a path.
//!
//! poem-openapi's own `Path` was rejected: its errors name the parameter by its position (`param0`). This type has the same
//! name because poem-openapi's macro recognizes path parameters by it.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use uuid::Uuid;

use super::parse_field::ParseField;
use super::problem::Problem;

/// A value that has the same parameter name in every path.
pub(in crate::web) trait Segment: ParseField + Type {
    const NAME: &'static str;
}

impl Segment for Uuid {
    const NAME: &'static str = "id";
}

impl Segment for String {
    const NAME: &'static str = "name";
}

#[derive(Debug)]
pub(in crate::web) struct Path<T>(pub(in crate::web) T);

impl<'a, T: Segment> ApiExtractor<'a> for Path<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Path)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let text = request.raw_path_param(options.name).unwrap_or_default();
        Ok(Self(T::parse_field(text).map_err(|message| Problem::field(T::NAME, message))?))
    }
}
