//! What protects a process that needs no key (`AUTH=off`): only pages of its own origin may use it.
//!
//! Such a process listens to its machine, but a browser on that machine runs pages of strangers. A page can resolve its own name
//! to 127.0.0.1 and then read the answers (DNS rebinding), so the `Host` must be a name of this machine, or one of
//! `PUBLIC_HOSTS`. And a page of another origin can send a form, or open a WebSocket, without reading rights, so the `Origin`
//! of whatever changes something must be the own one, or one of `CORS_ALLOWED_ORIGINS`.
//!
//! Requests without these headers pass: they are not from a browser.

use poem::Request;
use poem::http::header::{HOST, HeaderMap, HeaderName, ORIGIN, UPGRADE};
use poem::http::uri::Authority;

use crate::config::AccessConfig;
use crate::domain::loopback::is_loopback;
use crate::web::http::problem::{Problem, ProblemCode};

/// Which hosts and origins are accepted besides the own ones.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct OpenAccess {
    pub(in crate::web) hosts: Vec<String>,
    pub(in crate::web) origins: Vec<String>,
}

impl OpenAccess {
    /// `None` if keys are required.
    pub(in crate::web) fn new(config: &AccessConfig, public_hosts: &[String]) -> Option<Self> {
        config.open.then(|| Self { hosts: public_hosts.to_vec(), origins: config.allowed_origins.clone() })
    }

    pub(in crate::web) fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        // HTTP/2 has the host in the URI.
        let host = text(headers, HOST).or_else(|| request.uri().authority().map(Authority::as_str));
        let Some(host) = host else { return Ok(()) };
        if !self.is_own_host(host) {
            let detail = "without keys (AUTH=off) only the names of this machine, such as localhost, are served: add this host \
                          to PUBLIC_HOSTS, or require keys";
            return Err(Problem::new(ProblemCode::Forbidden, detail));
        }
        let changes = !request.method().is_safe() || headers.contains_key(UPGRADE);
        match text(headers, ORIGIN) {
            Some(origin) if changes && !self.is_own_origin(origin, host) => {
                let detail = "without keys (AUTH=off) pages of other origins may change nothing: add this origin to \
                              CORS_ALLOWED_ORIGINS, or require keys";
                Err(Problem::new(ProblemCode::Forbidden, detail))
            }
            _ => Ok(()),
        }
    }

    fn is_own_host(&self, host: &str) -> bool {
        let name = without_port(host);
        is_loopback(name)
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(name))
    }

    fn is_own_origin(&self, origin: &str, host: &str) -> bool {
        let is_same = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        is_same || self.origins.iter().any(|allowed| allowed == origin)
    }
}

/// A header that is not text is like a wrong one.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// The host without its port; an IPv6 address stays in its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use poem::http::Method;

    use super::*;

    #[test]
    fn only_own_pages_may_use_open_access() {
        let access =
            OpenAccess { hosts: vec!["psp.example.com".to_owned()], origins: vec!["http://localhost:3000".to_owned()] };
        let own = "127.0.0.1:8000";
        for (method, host, origin, upgrade, accepted) in [
            (Method::GET, Some(own), None, false, true),
            (Method::GET, Some("localhost:8000"), None, false, true),
            (Method::GET, Some("[::1]:8000"), None, false, true),
            (Method::GET, Some("psp.example.com"), None, false, true),
            (Method::GET, Some("PSP.example.com:8443"), None, false, true),
            (Method::GET, None, None, false, true),
            (Method::GET, Some("attacker.example"), None, false, false),
            (Method::GET, Some("127.0.0.1.attacker.example:8000"), None, false, false),
            (Method::GET, Some(""), None, false, false),
            (Method::POST, Some(own), None, false, true),
            (Method::POST, Some(own), Some("http://127.0.0.1:8000"), false, true),
            (Method::POST, Some(own), Some("http://localhost:3000"), false, true),
            (Method::POST, Some(own), Some("http://127.0.0.1:9000"), false, false),
            (Method::POST, Some(own), Some("https://attacker.example"), false, false),
            (Method::DELETE, Some(own), Some("null"), false, false),
            (Method::GET, Some(own), Some("https://attacker.example"), false, true),
            (Method::GET, Some(own), Some("https://attacker.example"), true, false),
            (Method::GET, Some(own), Some("http://127.0.0.1:8000"), true, true),
        ] {
            let mut request = Request::builder().method(method.clone());
            for (name, value) in [(HOST, host), (ORIGIN, origin), (UPGRADE, upgrade.then_some("websocket"))] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let checked = access.check(&request.finish());
            assert_eq!(checked.is_ok(), accepted, "{method} {host:?} {origin:?} {upgrade}");
        }
    }
}
