//! The query of a request, as one object.
//!
//! poem-openapi sees one parameter whose schema is an object; `document` writes it as the parameters it stands for.

use poem::http::Uri;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::fields::{Fields, FromFields};
use super::problem::{Problem, ProblemCode};

/// What the query says.
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
        Ok(read(request)?)
    }
}

impl<T: FromFields> Query<T> {
    /// What a query says that did not come with the request, but within it.
    pub(in crate::web) fn of_text(query: &str) -> Result<Self, Problem> {
        let uri = Uri::try_from(format!("/?{}", query.trim_start_matches('?')));
        read(&Request::builder().uri(uri.map_err(|_| unreadable())?).finish())
    }
}

fn read<T: FromFields>(request: &Request) -> Result<Query<T>, Problem> {
    if !is_readable(request.uri().query().unwrap_or_default()) {
        return Err(unreadable());
    }
    let mut fields = Fields::of_query(request.params().map_err(|_| unreadable())?);
    let read = T::read(&mut fields);
    Ok(Query(fields.finish(read)?))
}

fn unreadable() -> Problem {
    Problem::new(ProblemCode::BadRequest, "the query is no text in UTF-8")
}

/// Whether the query decodes to UTF-8 without NUL, which no text of the database can hold.
fn is_readable(query: &str) -> bool {
    let mut decoded = vec![];
    let mut rest = query.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escaped = (*first == b'%').then(|| tail.get(..2).and_then(|digits| hex::decode(digits).ok())).flatten();
        match escaped.as_deref() {
            Some([byte]) => {
                decoded.push(*byte);
                rest = &tail[2..];
            }
            _ => decoded.push(*first),
        }
    }
    !decoded.contains(&0) && std::str::from_utf8(&decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_apart() {
        for (query, expected) in [
            ("", true),
            ("search=a%20b&page=2", true),
            ("search=%E2%82%B9", true),
            ("search=50%", true),
            ("search=%zz", true),
            ("search=%FF", false),
            ("search=%00", false),
            ("search=%2500", true),
        ] {
            assert_eq!(is_readable(query), expected, "{query}");
        }
    }
}
