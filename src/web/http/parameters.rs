//! Refuses query parameters that an operation does not have.
//!
//! A misspelt filter that counts as absent answers another question than the one that was asked: `?projct=a` would return the
//! payments of all projects. The check stands in front of the handlers, because an operation has all its names only in the
//! OpenAPI document: handlers read filters, page and file options separately, or no query at all. Rejected: a check of each
//! [`Query`](super::query::Query), which knows only its own names.
//!
//! Names that begin with `_` are free, because libraries add them against caches (`_=1768471200`). They are removed, as are the
//! ignored ones of `LENIENT_PARAMETERS`, so that neither leads to separate entries of the [response cache](super::response_cache).

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use poem::http::uri::{PathAndQuery, Uri};
use poem::http::{HeaderName, HeaderValue};
use poem::{Endpoint, IntoResponse, Request, Response};

use super::auth::policy::Policy;
use super::openapi::Document;
use super::problem::{FieldError, Problem};

/// The names that were ignored, with `LENIENT_PARAMETERS=true`.
const IGNORED_PARAMETERS: HeaderName = HeaderName::from_static("x-ignored-parameters");
/// How much of a name is shown, and how many names the header has: a client may send anything.
const MAX_SHOWN_LETTERS: usize = 64;
const MAX_SHOWN_NAMES: usize = 20;
/// How similar a name must be for a suggestion, where 1 is equal: `projct` and `project` are 0.97, `from` and `from_date` 0.89.
const SIMILAR: f64 = 0.85;
/// Everything but letters, digits, and what names of parameters consist of besides: no name can end the header, or look like two.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

/// What a query has.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::web) struct Checked {
    /// The known parameters, as they were written; `None` if these are all.
    kept: Option<String>,
    /// The names of unknown parameters.
    ignored: Vec<String>,
}

/// Compares the names of a query with those that are `known`. A 422 if others are in it, unless `lenient`.
pub(in crate::web) fn check<N: AsRef<str>>(query: &str, known: &[N], lenient: bool) -> Result<Checked, Problem> {
    let pairs = || query.split('&').filter(|pair| !pair.is_empty());
    let is_known = |name: &str| known.iter().any(|known| known.as_ref() == name);
    let mut unknown: Vec<String> = vec![];
    for name in pairs().map(name_of).filter(|name| !name.starts_with('_') && !is_known(name)) {
        if !unknown.contains(&name) {
            unknown.push(name);
        }
    }
    if !lenient && !unknown.is_empty() {
        return Err(refusal(&unknown, known));
    }
    let kept: Vec<&str> = pairs().filter(|pair| is_known(&name_of(pair))).collect();
    let is_complete = kept.len() == pairs().count();
    Ok(Checked { kept: (!is_complete).then(|| kept.join("&")), ignored: unknown })
}

fn name_of(pair: &str) -> String {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name).replace('+', " ");
    percent_decode_str(&name).decode_utf8_lossy().into_owned()
}

/// Lists the known names once, and not in each error.
fn refusal<N: AsRef<str>>(unknown: &[String], known: &[N]) -> Problem {
    let mut is_listed = false;
    let errors = unknown.iter().map(|name| {
        let message = match closest(name, known) {
            Some(similar) => format!("unknown parameter; did you mean {similar}?"),
            None if known.is_empty() => "unknown parameter; this operation has none".to_owned(),
            None if is_listed => "unknown parameter".to_owned(),
            None => {
                is_listed = true;
                let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
                format!("unknown parameter; known are {}", known.join(", "))
            }
        };
        FieldError { field: shown(name), message }
    });
    Problem::validation(errors.collect())
}

/// The known name that a written one was probably meant to be.
fn closest<'a, N: AsRef<str>>(written: &str, known: &'a [N]) -> Option<&'a str> {
    if written.chars().nth(MAX_SHOWN_LETTERS).is_some() {
        return None;
    }
    let written = written.to_lowercase().replace('-', "_");
    let similar = known.iter().map(|known| (strsim::jaro_winkler(&written, known.as_ref()), known.as_ref()));
    let similar = similar.filter(|(similarity, _)| *similarity >= SIMILAR);
    similar.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, known)| known)
}

fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN_LETTERS).collect()
}

impl Checked {
    /// The value of [`IGNORED_PARAMETERS`]: the names, percent-encoded and separated by commas.
    fn header(&self) -> Option<HeaderValue> {
        let names = self.ignored.iter().take(MAX_SHOWN_NAMES);
        let names: Vec<String> = names.map(|name| utf8_percent_encode(&shown(name), ENCODED).to_string()).collect();
        if names.is_empty() { None } else { HeaderValue::try_from(names.join(", ")).ok() }
    }

    /// `uri` with only the known parameters; `None` if it has no others.
    fn rewrite(&self, uri: &Uri) -> Option<Uri> {
        let (path, kept) = (uri.path(), self.kept.as_deref()?);
        let separator = if kept.is_empty() { "" } else { "?" };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(format!("{path}{separator}{kept}")).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// Wraps the handlers; within [`Authorization`](super::auth::authorization::Authorization), so that a refusal is audited and
/// counted like that of a handler.
pub(in crate::web) struct KnownParameters<E> {
    endpoint: E,
    names: HashMap<String, Vec<String>>,
    lenient: bool,
}

impl<E> KnownParameters<E> {
    /// The operations are those of `document`, and `others` by their operation.
    pub(in crate::web) fn new(endpoint: E, document: &Document, others: &[(&str, &[&str])], lenient: bool) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let others = others.iter().map(|(operation, names)| ((*operation).to_owned(), owned(names)));
        Self { endpoint, names: document.query_parameters().chain(others).collect(), lenient }
    }

    fn check(&self, request: &Request) -> Result<Option<Checked>, Problem> {
        let policy: Option<&&'static Policy> = request.extensions().get();
        let Some((policy, query)) =
            policy.filter(|policy| policy.refuses_unknown_parameters()).zip(request.uri().query())
        else {
            return Ok(None);
        };
        let known = self.names.get(policy.operation).map(Vec::as_slice).unwrap_or_default();
        check(query, known, self.lenient).map(Some)
    }
}

impl<E: Endpoint> Endpoint for KnownParameters<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let checked = self.check(&request)?;
        if let Some(uri) = checked.as_ref().and_then(|checked| checked.rewrite(request.uri())) {
            *request.uri_mut() = uri;
        }
        let ignored = checked.and_then(|checked| checked.header());
        match (self.endpoint.call(request).await, ignored) {
            (Ok(response), ignored) => {
                let mut response = response.into_response();
                response.headers_mut().extend(ignored.map(|names| (IGNORED_PARAMETERS, names)));
                Ok(response)
            }
            (Err(error), Some(names)) => Err(Problem::from_poem(error).with_header(IGNORED_PARAMETERS, names).into()),
            (Err(error), None) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: [&str; 8] = ["project", "status", "from_date", "to_date", "sort_by", "page", "limit", "merchant_id"];

    #[test]
    fn unknown_names_are_refused_with_the_closest_known_one() {
        for (query, field, message) in [
            ("projct=a", "projct", "unknown parameter; did you mean project?"),
            ("projects=a", "projects", "unknown parameter; did you mean project?"),
            ("PROJECT=a", "PROJECT", "unknown parameter; did you mean project?"),
            ("pro%6Aetc=a", "projetc", "unknown parameter; did you mean project?"),
            ("form_date=2026-01-01", "form_date", "unknown parameter; did you mean from_date?"),
            ("fromDate=2026-01-01", "fromDate", "unknown parameter; did you mean from_date?"),
            ("from=2026-01-01", "from", "unknown parameter; did you mean from_date?"),
            ("sort=amount", "sort", "unknown parameter; did you mean sort_by?"),
            ("merchant=7", "merchant", "unknown parameter; did you mean merchant_id?"),
            ("page=2&limti=5", "limti", "unknown parameter; did you mean limit?"),
            ("statuses", "statuses", "unknown parameter; did you mean status?"),
            ("q=a", "q", &format!("unknown parameter; known are {}", KNOWN.join(", "))),
            ("=a", "", &format!("unknown parameter; known are {}", KNOWN.join(", "))),
            ("%FF=a", "\u{fffd}", &format!("unknown parameter; known are {}", KNOWN.join(", "))),
        ] {
            let problem = check(query, &KNOWN, false).expect_err(query);
            assert_eq!(problem.to_string(), format!("{field}: {message}"));
        }
        let without: [&str; 0] = [];
        let problem = check("projct=a", &without, false).expect_err("an operation without parameters");
        assert_eq!(problem.to_string(), "projct: unknown parameter; this operation has none");
    }

    #[test]
    fn many_and_long_names_are_refused_with_a_short_text() {
        let long = "x".repeat(8_000);
        let many: Vec<String> = (0..1_000).map(|number| format!("x{number}")).collect();
        for query in [long, many.join("&")] {
            let problem = check(&query, &KNOWN, false).expect_err("unknown names").to_string();
            assert!(problem.len() < 2_000, "{problem}");
            assert_eq!(problem.matches("known are").count(), 1, "{problem}");
        }
    }

    #[test]
    fn known_and_free_names_are_accepted_and_free_ones_removed() {
        for (query, kept) in [
            ("", None),
            ("project=a&project=&page=2", None),
            ("pro%6Aect=a", None),
            ("project=%FF", None),
            ("_=1768471200", Some("")),
            ("project=a%20b&_=1768471200&&page=2", Some("project=a%20b&page=2")),
            ("_trace&%5Fx=1&limit=5", Some("limit=5")),
        ] {
            let checked = Checked { kept: kept.map(str::to_owned), ignored: vec![] };
            assert_eq!(check(query, &KNOWN, false).expect(query), checked, "{query}");
        }
    }

    #[test]
    fn lenient_check_lists_what_it_ignores() {
        for (query, kept, header) in [
            ("projct=a&page=2&projct=b", Some("page=2"), Some("projct")),
            ("projct=a&_=1&x-y.z=1", Some(""), Some("projct, x-y.z")),
            ("a%0D%0Aset-cookie:b=1", Some(""), Some("a%0D%0Aset-cookie%3Ab")),
            ("a,b&%E2%82%B9", Some(""), Some("a%2Cb, %E2%82%B9")),
            ("page=2", None, None),
        ] {
            let checked = check(query, &KNOWN, true).expect(query);
            assert_eq!(checked.kept.as_deref(), kept, "{query}");
            assert_eq!(checked.header().as_ref().and_then(|value| value.to_str().ok()), header, "{query}");
        }
    }

    #[test]
    fn address_keeps_only_known_parameters() {
        for (uri, expected) in [
            ("/api/v1/jobs?page=2", None),
            ("/api/v1/jobs?_=1", Some("/api/v1/jobs")),
            ("/api/v1/jobs?_=1&page=2", Some("/api/v1/jobs?page=2")),
            ("http://a.example/api/v1/jobs?page=2&_=1", Some("http://a.example/api/v1/jobs?page=2")),
        ] {
            let parsed = uri.parse::<Uri>().expect(uri);
            let checked = check(parsed.query().unwrap_or_default(), &KNOWN, false).expect(uri);
            assert_eq!(checked.rewrite(&parsed).map(|uri| uri.to_string()).as_deref(), expected, "{uri}");
        }
    }

    proptest! {
        /// Whatever is sent, a lenient check yields a query that a strict one accepts unchanged.
        #[test]
        fn what_a_lenient_check_keeps_is_known(query in "([a-z_%=&+0-9]|page|limit|project){0,40}") {
            let lenient = check(&query, &KNOWN, true).expect("a lenient check refuses nothing");
            let kept = lenient.kept.clone().unwrap_or(query);
            prop_assert_eq!(check(&kept, &KNOWN, false).ok(), Some(Checked { kept: None, ignored: vec![] }));
            let header = lenient.header();
            prop_assert_eq!(header.is_some(), !lenient.ignored.is_empty());
        }
    }
}
