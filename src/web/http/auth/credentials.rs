//! What a request presents to be authenticated.

use poem::Request;
use poem::http::{HeaderMap, header};
use serde::Deserialize;

/// Only one is used; the others of a request are ignored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'request> {
    Key(&'request str),
    /// Instead of a key, because browsers cannot set headers on a WebSocket.
    Ticket(String),
}

impl<'request> Credential<'request> {
    pub(super) fn find(request: &'request Request, accepts_ticket: bool) -> Option<Self> {
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
    fn ticket_is_used_only_where_it_is_accepted() {
        let request = || Request::builder().uri_str("/ws?ticket=abc").header("x-api-key", "def").finish();
        assert_eq!(Credential::find(&request(), true), Some(Credential::Ticket("abc".to_owned())));
        assert_eq!(Credential::find(&request(), false), Some(Credential::Key("def")));
    }
}
