//! The web console: a single page, embedded in the program with its files.
//!
//! `make console` builds it into `console/dist`. A program that was built without it answers `/` with the API's documentation.
//! Every view is the same page, whose script reads the URL; so the server must know the names of the views, or a mistyped path
//! would be a page instead of a 404. A file of the build has a hash in its name and never changes, so browsers keep it; the page
//! itself is compared by its `ETag` each time. Files were compressed when they were built. Rejected: poem's own endpoint for embedded
//! files, which compresses nothing and lets browsers keep nothing.

use std::borrow::Cow;

use poem::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use poem::http::{HeaderMap, StatusCode};
use poem::web::Redirect;
use poem::{IntoResponse, Request, Response, Route, get, handler};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::http::auth::policy::CONSOLE_VIEWS;
use super::http::openapi::page::accepts;
use super::http::problem::{Problem, ProblemCode};

/// The build of the console, if there is one.
#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Files;

const PAGE: &str = "index.html";
/// Only files, calls and sockets of this service; neither inline scripts nor inline styles.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const FOREVER: &str = "public, max-age=31536000, immutable";
/// May be stored, and is compared by its `ETag` before each use.
const COMPARED: &str = "no-cache";

/// The compressed forms that the build writes next to a file, the smallest first: encoding and suffix.
const COMPRESSED: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Adds the start page, the files and the views to `route`.
#[must_use]
pub(super) fn mount(route: Route) -> Route {
    let route = route.at("/", get(start)).at("/assets/:name", get(asset)).at("/favicon.svg", get(icon));
    CONSOLE_VIEWS
        .iter()
        .fold(route, |route, view| route.at(format!("/{view}"), get(page)).at(format!("/{view}/*rest"), get(page)))
}

/// The start page: the console, or the documentation without one.
#[handler]
fn start(request: &Request) -> poem::Result<Response> {
    match Files::get(PAGE) {
        Some(_) => Ok(file(request, PAGE, COMPARED)?),
        None => Ok(Redirect::temporary("/api/docs").into_response()),
    }
}

#[handler]
fn page(request: &Request) -> poem::Result<Response> {
    Ok(file(request, PAGE, COMPARED)?)
}

#[handler]
fn icon(request: &Request) -> poem::Result<Response> {
    Ok(file(request, "favicon.svg", COMPARED)?)
}

#[handler]
fn asset(request: &Request) -> poem::Result<Response> {
    let name = request.uri().path().trim_start_matches('/');
    Ok(file(request, name, FOREVER)?)
}

/// A file of the build in the smallest form that the client accepts.
fn file(request: &Request, name: &str, caching: &'static str) -> Result<Response, Problem> {
    let plain = Files::get(name).ok_or_else(missing)?;
    let etag = format!("W/\"{}\"", hex::encode(&plain.metadata.sha256_hash()[..16]));
    let response = Response::builder()
        .header(CONTENT_TYPE, media_type(name))
        .header(CACHE_CONTROL, caching)
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .header(VARY, ACCEPT_ENCODING)
        .header(ETAG, &etag);
    let is_known = |known: &str| known.split(',').any(|known| known.trim() == etag);
    if request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.to_str().is_ok_and(is_known)) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    Ok(match compressed(name, request.headers()) {
        Some((encoding, file)) => response.header(CONTENT_ENCODING, encoding).body(bytes(file)),
        None => response.body(bytes(plain)),
    })
}

fn compressed(name: &str, headers: &HeaderMap) -> Option<(&'static str, EmbeddedFile)> {
    let mut forms = COMPRESSED.iter().filter(|(encoding, _)| accepts(headers, encoding));
    forms.find_map(|(encoding, suffix)| Some((*encoding, Files::get(&format!("{name}{suffix}"))?)))
}

fn bytes(file: EmbeddedFile) -> poem::Body {
    match file.data {
        Cow::Borrowed(bytes) => bytes::Bytes::from_static(bytes).into(),
        Cow::Owned(bytes) => bytes.into(),
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

fn missing() -> Problem {
    let detail = if Files::get(PAGE).is_some() {
        "the console has no such file: reload the page, a newer release may be running"
    } else {
        "this program was built without the console: build it with `make console` first, or use /api/docs"
    };
    Problem::new(ProblemCode::NotFound, detail)
}
