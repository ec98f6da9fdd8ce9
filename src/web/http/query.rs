//! The query of a request, as one object.
//!
//! For poem-openapi it is one parameter whose schema is an object; `openapi::postprocess` writes that as a parameter per
//! field.

use percent_encoding::percent_decode_str;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::fields::{Fields, FromFields};
use super::problem::{Problem, ProblemCode};

#[derive(Debug)]
pub(in crate::web) struct Query<T>(pub(in crate::web) T);

impl<'a, T: FromFields + Type> ApiExtractor<'a> for Query<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self::from_text(request.uri().query().unwrap_or_default())?)
    }
}

impl<T: FromFields> Query<T> {
    pub(in crate::web) fn from_text(query: &str) -> Result<Self, Problem> {
        let unreadable = || Problem::new(ProblemCode::BadRequest, "the query is not UTF-8 text");
        let mut fields = Fields::from_query(pairs(query.trim_start_matches('?')).ok_or_else(unreadable)?);
        let read = T::read(&mut fields);
        Ok(Self(fields.finish(read)?))
    }
}

/// The names and values of a query; `None` if they are not UTF-8, or contain a NUL, which PostgreSQL cannot store in a text.
fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !str::is_empty(pair)).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    });
    pairs.collect()
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_unless_they_are_not_text() {
        for (query, expected) in [
            ("", Some(vec![])),
            ("search=a%20b&page=2", Some(vec![("search", "a b"), ("page", "2")])),
            ("search=a+b&&x", Some(vec![("search", "a b"), ("x", "")])),
            ("search=%E2%82%B9", Some(vec![("search", "₹")])),
            ("search=50%", Some(vec![("search", "50%")])),
            ("search=%zz", Some(vec![("search", "%zz")])),
            ("search=%FF", None),
            ("search=%00", None),
            ("search=%2500", Some(vec![("search", "%00")])),
        ] {
            let pairs = pairs(query);
            let pairs: Option<Vec<(&str, &str)>> =
                pairs.as_ref().map(|pairs| pairs.iter().map(|(name, value)| (&**name, &**value)).collect());
            assert_eq!(pairs, expected, "{query}");
        }
    }
}
