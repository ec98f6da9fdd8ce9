//! Whether a request comes from a page of this service.
//!
//! A browser adds its cookies to requests of any page, and `Origin` says which page that is. `SameSite=Strict` already keeps
//! other sites out, but not other hosts of the same domain. A token in each form was rejected: it must be stored and sent by
//! every client, and says no more than `Origin`, which pages cannot forge.

use poem::Request;
use poem::http::HeaderValue;
use poem::http::header::{HOST, ORIGIN};
use poem::http::uri::Authority;

use super::cookies::Cookies;
use crate::config::PublicUrl;
use crate::web::http::problem::{Problem, ProblemCode};

/// The page that a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum RequestOrigin {
    /// No page is named: the client is no browser, or a browser that shows a page of this service.
    Absent,
    /// A page of this service, or of an allowed origin.
    Trusted,
    Foreign,
}

/// The pages that may cause a request by cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum OriginRule {
    /// Any: CORS keeps the response from those of other origins.
    Any,
    /// None of another origin, so that it cannot use up the connections of the user. Browsers name no origin if a page of this
    /// service only reads.
    NotForeign,
    /// Only one of this service, which the request must name: others could cause a change, or read a WebSocket, which is not
    /// subject to CORS.
    Own,
}

/// The origins whose pages may use a browser's cookies.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct TrustedOrigins {
    /// `PUBLIC_URL` and `CORS_ALLOWED_ORIGINS`.
    origins: Vec<String>,
    cookies: Cookies,
}

impl TrustedOrigins {
    /// Trusts these origins besides the host that a request names.
    pub(in crate::web) fn new(public_url: Option<&PublicUrl>, allowed: &[String]) -> Self {
        let public = public_url.map(|url| url.origin().to_owned());
        Self { origins: public.into_iter().chain(allowed.iter().cloned()).collect(), cookies: Cookies::new(public_url) }
    }

    pub(in crate::web) fn classify(&self, request: &Request) -> RequestOrigin {
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return RequestOrigin::Absent };
        let trusted = origins.next().is_none() && origin.to_str().is_ok_and(|origin| self.trusts(request, origin));
        if trusted { RequestOrigin::Trusted } else { RequestOrigin::Foreign }
    }

    fn trusts(&self, request: &Request, origin: &str) -> bool {
        self.origins.iter().any(|trusted| trusted == origin) || self.is_own(request, origin)
    }

    /// Whether the origin is the host of the request. A plain HTTP page is another origin if the browser uses TLS; whether it
    /// does is unknown if the proxy does not say so.
    fn is_own(&self, request: &Request, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let default_port = match scheme {
            "https" => ":443",
            "http" if !self.cookies.is_secure(request.headers()) => ":80",
            _ => return false,
        };
        let host = request.headers().get(HOST).map(HeaderValue::to_str).and_then(Result::ok);
        // HTTP/2 has the host in the URI.
        let host = host.or_else(|| request.original_uri().authority().map(Authority::as_str));
        let without_port = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
        host.is_some_and(|host| !host.is_empty() && without_port(host) == without_port(authority))
    }

    /// 403 for a request by cookie that a page of another origin may have caused, if the rule forbids that.
    pub(in crate::web) fn check(&self, request: &Request, rule: OriginRule) -> Result<(), Problem> {
        let detail = match (rule, self.classify(request)) {
            (OriginRule::Any, _) | (_, RequestOrigin::Trusted) | (OriginRule::NotForeign, RequestOrigin::Absent) => {
                return Ok(());
            }
            (OriginRule::Own, RequestOrigin::Absent) => {
                "a session needs the header Origin here, which browsers send: without a browser, use a key instead"
            }
            (_, RequestOrigin::Foreign) => {
                "a session cannot be used by pages of another origin: set PUBLIC_URL if this is the dashboard's own page"
            }
        };
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }
}

/// Whether a method only reads.
pub(in crate::web) fn is_safe(method: &str) -> bool {
    ["GET", "HEAD", "OPTIONS"].contains(&method)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_NAME: &str = "dash.example.com";

    fn classify(origins: &TrustedOrigins, headers: &[(&str, &str)]) -> RequestOrigin {
        let request = headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        origins.classify(&request.finish())
    }

    #[test]
    fn own_host_is_trusted_in_its_scheme() {
        let origins = TrustedOrigins::default();
        let https = ("x-forwarded-proto", "https");
        for (host, more, origin, expected) in [
            (HOST_NAME, None, "http://dash.example.com", RequestOrigin::Trusted),
            (HOST_NAME, None, "https://dash.example.com", RequestOrigin::Trusted),
            (HOST_NAME, Some(https), "https://dash.example.com", RequestOrigin::Trusted),
            (HOST_NAME, Some(https), "http://dash.example.com", RequestOrigin::Foreign),
            ("Dash.Example.com", None, "http://dash.example.com", RequestOrigin::Trusted),
            ("localhost:8000", None, "http://localhost:8000", RequestOrigin::Trusted),
            ("localhost:8000", None, "http://localhost:8001", RequestOrigin::Foreign),
            ("dash.example.com:443", None, "https://dash.example.com", RequestOrigin::Trusted),
            ("dash.example.com:80", None, "https://dash.example.com", RequestOrigin::Foreign),
            (HOST_NAME, None, "http://dash.example.com.evil.test", RequestOrigin::Foreign),
            (HOST_NAME, None, "http://evil.example.com", RequestOrigin::Foreign),
            (HOST_NAME, None, "ftp://dash.example.com", RequestOrigin::Foreign),
            (HOST_NAME, None, "null", RequestOrigin::Foreign),
            (HOST_NAME, None, "", RequestOrigin::Foreign),
            ("", None, "http://", RequestOrigin::Foreign),
        ] {
            let headers: Vec<_> = [("host", host), ("origin", origin)].into_iter().chain(more).collect();
            assert_eq!(classify(&origins, &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn configured_origins_are_trusted_exactly() {
        let public = "https://dash.example.com".parse().expect("a URL");
        let origins = TrustedOrigins::new(Some(&public), &["http://localhost:3000".to_owned()]);
        for (origin, expected) in [
            (Some("https://dash.example.com"), RequestOrigin::Trusted),
            (Some("http://dash.example.com"), RequestOrigin::Foreign),
            (Some("http://localhost:3000"), RequestOrigin::Trusted),
            (Some("http://localhost:3001"), RequestOrigin::Foreign),
            (Some("https://internal:8000"), RequestOrigin::Trusted),
            (None, RequestOrigin::Absent),
        ] {
            let headers: Vec<_> =
                [("host", "internal:8000")].into_iter().chain(origin.map(|it| ("origin", it))).collect();
            assert_eq!(classify(&origins, &headers), expected, "{origin:?}");
        }
        let twice = [("host", "a"), ("origin", "http://localhost:3000"), ("origin", "https://evil.test")];
        assert_eq!(classify(&origins, &twice), RequestOrigin::Foreign);
    }
}
