//! What a request presents to be authenticated.

use poem::Request;
use poem::http::{HeaderMap, header};
use serde::Deserialize;

use super::cookies::{self, Cookies};

/// Only one is used; the others of a request are ignored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'request> {
    Key(&'request str),
    /// Instead of a key, because browsers cannot set headers on a WebSocket.
    Ticket(String),
    /// The cookie of a browser.
    Session(&'request str),
}

impl<'request> Credential<'request> {
    /// A browser sends its cookie by itself, so whatever else a request presents comes first.
    pub(super) fn find(request: &'request Request, accepts_ticket: bool, cookies: &Cookies) -> Option<Self> {
        let session = || cookies.read(request.headers(), cookies::SESSION).map(Self::Session);
        Self::sent(request, accepts_ticket).or_else(session)
    }

    /// Without the cookie of a browser.
    pub(super) fn sent(request: &'request Request, accepts_ticket: bool) -> Option<Self> {
        let ticket = accepts_ticket.then(|| ticket(request)).flatten().map(Self::Ticket);
        ticket.or_else(|| key(request.headers()).map(Self::Key))
    }
}

fn key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let alone = || headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim);
    bearer.or_else(alone).filter(|key| !key.is_empty())
}

fn ticket(request: &Request) -> Option<String> {
    #[derive(Deserialize)]
    struct TicketParameter {
        ticket: Option<String>,
    }
    request.params::<TicketParameter>().ok()?.ticket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_accepted_in_either_header() {
        for (headers, expected) in [
            (&[][..], None),
            (&[("authorization", "Bearer abc")], Some("abc")),
            (&[("authorization", "bearer  abc ")], Some("abc")),
            (&[("x-api-key", "abc")], Some("abc")),
            (&[("authorization", "Basic dTpw"), ("x-api-key", "abc")], Some("abc")),
            (&[("authorization", "Bearer abc"), ("x-api-key", "def")], Some("abc")),
            (&[("authorization", "Bearer ")], None),
            (&[("x-api-key", " ")], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().expect("a header"));
            }
            assert_eq!(key(&map), expected, "{headers:?}");
        }
    }

    #[test]
    fn ticket_comes_before_key_and_key_before_session() {
        let request = |uri: &str, key: Option<&str>| {
            let request = Request::builder().uri_str(uri).header("cookie", "psp_session=ghi");
            key.into_iter().fold(request, |request, key| request.header("x-api-key", key)).finish()
        };
        for (uri, accepts_ticket, key, expected) in [
            ("/ws?ticket=abc", true, Some("def"), Credential::Ticket("abc".to_owned())),
            ("/ws?ticket=abc", false, Some("def"), Credential::Key("def")),
            ("/ws", true, Some("def"), Credential::Key("def")),
            ("/ws", true, None, Credential::Session("ghi")),
        ] {
            let request = request(uri, key);
            assert_eq!(
                Credential::find(&request, accepts_ticket, &Cookies::default()),
                Some(expected),
                "{uri} {key:?}"
            );
        }
    }
}
