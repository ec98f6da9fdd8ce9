//! What each request is checked for before anything reads it, and what each response tells a browser.

use poem::Request;
use poem::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use poem::http::uri::Authority;
use poem::http::{StatusCode, Version};

use super::auth::policy::is_monitoring;
use super::client_address::Client;
use super::problem::{Problem, ProblemCode};

/// Filters of a page of transactions need less than a tenth of it.
const MAX_URI_BYTES: usize = 8 << 10;
/// Browsers send about 20 headers, proxies add a few.
pub(super) const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 16 << 10;

/// A year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Responses are data: a browser that shows one as a page must load and run nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; base-uri 'none'; frame-ancestors 'none'");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The names under which the service is reached; none means any.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct PublicHosts(Vec<String>);

impl PublicHosts {
    pub(in crate::web) fn new(hosts: &[String]) -> Self {
        Self(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    /// With or without a port, since a proxy may listen on another one.
    fn include(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let without_port = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host.as_str(),
        };
        self.0.is_empty() || self.0.iter().any(|public| *public == host || public == without_port)
    }
}

/// Refuses a request that is too large, for another host, or compressed.
pub(super) fn check_request(request: &Request, hosts: &PublicHosts) -> Result<(), Problem> {
    if request.uri().to_string().len() > MAX_URI_BYTES {
        let detail = format!("the URL has more than {MAX_URI_BYTES} bytes: send fewer filters, or create an export");
        return Err(Problem::new(ProblemCode::UriTooLong, detail));
    }
    check_header_size(request.headers())?;
    check_host(request, hosts)?;
    let encodings = request.headers().get_all(CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "a compressed body is not accepted: send it without Content-Encoding";
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    Ok(())
}

fn check_header_size(headers: &HeaderMap) -> Result<(), Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() <= MAX_HEADERS && bytes <= MAX_HEADER_BYTES {
        return Ok(());
    }
    let detail = format!(
        "a request may have {MAX_HEADERS} headers and {MAX_HEADER_BYTES} bytes of them: send fewer, for example fewer cookies"
    );
    Err(Problem::new(ProblemCode::HeadersTooLarge, detail))
}

/// A request with no host, or with two, is read differently by a proxy and by this process.
fn check_host(request: &Request, hosts: &PublicHosts) -> Result<(), Problem> {
    let mut sent = request.headers().get_all(HOST).iter();
    let (first, second) = (sent.next().and_then(|host| host.to_str().ok()), sent.next());
    let host = request.uri().authority().map(Authority::as_str).or(first);
    if second.is_some() || (host.is_none() && request.version() == Version::HTTP_11) {
        return Err(Problem::new(ProblemCode::BadRequest, "send one Host header, and only one"));
    }
    if is_monitoring(request.uri().path().trim_end_matches('/')) || hosts.include(host.unwrap_or_default()) {
        return Ok(());
    }
    let detail =
        "this service is not reached under this host: use a public name of it, or add this one to PUBLIC_HOSTS";
    Err(Problem::new(ProblemCode::MisdirectedRequest, detail))
}

/// Adds the headers that make browsers treat every response as data; what a response has set itself stays.
pub(super) fn protect_response(status: StatusCode, headers: &mut HeaderMap, client: Client) {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let mut add = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    add(CACHE_CONTROL, NO_STORE);
    add(CONTENT_SECURITY_POLICY, NOTHING);
    add(X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    add(REFERRER_POLICY, NO_REFERRER);
    if client.is_secure {
        add(STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

#[cfg(test)]
mod tests {
    use poem::RequestBuilder;

    use super::*;

    fn code(request: RequestBuilder, hosts: &[&str]) -> Option<ProblemCode> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        check_request(&request.finish(), &PublicHosts::new(&hosts)).err().map(|problem| problem.code)
    }

    fn get() -> RequestBuilder {
        Request::builder().uri_str("/api/v1/me").header(HOST, "localhost")
    }

    #[test]
    fn too_large_requests_are_refused() {
        let long = |bytes: usize| Request::builder().uri_str(format!("/?{}", "a".repeat(bytes - 2))).header(HOST, "a");
        assert_eq!(code(long(MAX_URI_BYTES), &[]), None);
        assert_eq!(code(long(MAX_URI_BYTES + 1), &[]), Some(ProblemCode::UriTooLong));
        let with_headers =
            |count: usize| (0..count).fold(get(), |request, index| request.header(format!("x-{index}"), 1));
        assert_eq!(code(with_headers(MAX_HEADERS - 1), &[]), None);
        assert_eq!(code(with_headers(MAX_HEADERS), &[]), Some(ProblemCode::HeadersTooLarge));
        assert_eq!(code(get().header("cookie", "a".repeat(MAX_HEADER_BYTES)), &[]), Some(ProblemCode::HeadersTooLarge));
    }

    #[test]
    fn compressed_bodies_are_refused() {
        for (encoding, expected) in [
            ("gzip", Some(ProblemCode::UnsupportedMediaType)),
            ("br", Some(ProblemCode::UnsupportedMediaType)),
            ("gzip, gzip", Some(ProblemCode::UnsupportedMediaType)),
            ("identity", None),
        ] {
            assert_eq!(code(get().header(CONTENT_ENCODING, encoding), &[]), expected, "{encoding}");
        }
    }

    #[test]
    fn host_must_be_public_if_public_hosts_are_set() {
        let for_host = |host: &str| Request::builder().uri_str("/api/v1/me").header(HOST, host);
        let hosts = &["dash.example.com", "internal:8000"];
        for (host, expected) in [
            ("dash.example.com", None),
            ("DASH.example.com:443", None),
            ("internal:8000", None),
            ("internal", Some(ProblemCode::MisdirectedRequest)),
            ("internal:8001", Some(ProblemCode::MisdirectedRequest)),
            ("evil.test", Some(ProblemCode::MisdirectedRequest)),
            ("dash.example.com.evil.test", Some(ProblemCode::MisdirectedRequest)),
            ("dash.example.com:evil", Some(ProblemCode::MisdirectedRequest)),
        ] {
            assert_eq!(code(for_host(host), hosts), expected, "{host}");
            assert_eq!(code(for_host(host), &[]), None, "{host}");
        }
        assert_eq!(code(Request::builder().uri_str("/health/live").header(HOST, "10.0.0.1"), hosts), None);
    }

    #[test]
    fn request_has_exactly_one_host() {
        let request = || Request::builder().uri_str("/api/v1/me").version(Version::HTTP_11);
        assert_eq!(code(request(), &[]), Some(ProblemCode::BadRequest));
        assert_eq!(code(request().header(HOST, "a").header(HOST, "b"), &[]), Some(ProblemCode::BadRequest));
        assert_eq!(code(request().version(Version::HTTP_10), &[]), None);
    }

    #[test]
    fn responses_are_data_unless_they_say_otherwise() {
        let client = |is_secure| Client { address: None, is_secure };
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        protect_response(StatusCode::OK, &mut headers, client(false));
        assert_eq!(
            (&headers[CACHE_CONTROL], &headers[CONTENT_SECURITY_POLICY]),
            (&"no-cache".parse().expect("a value"), &NOTHING)
        );
        assert!(!headers.contains_key(STRICT_TRANSPORT_SECURITY), "there is no TLS");
        protect_response(StatusCode::OK, &mut headers, client(true));
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], HSTS);
    }
}
