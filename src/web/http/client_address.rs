//! The address of the client behind trusted proxies.
//!
//! A client can send any `X-Forwarded-For`; only what a trusted proxy has added is true. Each proxy adds, at the right end, the
//! address from which it received the request. So the list is read from the right, up to the first address that is not
//! a trusted proxy: that is the client. Without `TRUSTED_PROXIES` the client is the peer of the connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use poem::Request;
use poem::http::header::{HeaderMap, HeaderName};

use crate::domain::network::Network;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[derive(Debug, Clone, Default)]
pub(in crate::web) struct TrustedProxies(Arc<[Network]>);

/// Where a request comes from. [`super::middleware`] puts it into every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::web) struct Client {
    /// `None` if the request did not come over a network, as in tests.
    pub(in crate::web) address: Option<IpAddr>,
    /// Whether the client uses HTTPS. Only a trusted proxy can say so, because this process serves plain HTTP.
    pub(in crate::web) is_secure: bool,
}

impl Client {
    pub(in crate::web) fn of(request: &Request) -> Self {
        request.extensions().get().copied().unwrap_or_default()
    }
}

impl TrustedProxies {
    pub(in crate::web) fn new(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    pub(in crate::web) fn client(&self, request: &Request) -> Client {
        self.find(request.remote_addr().as_socket_addr().map(SocketAddr::ip), request.headers())
    }

    fn find(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Client {
        let peer = peer.map(|peer| peer.to_canonical());
        let Some(proxy) = peer.filter(|peer| self.trusts(*peer)) else {
            return Client { address: peer, is_secure: false };
        };
        let is_secure =
            last_to_first(headers, &FORWARDED_PROTO).next().is_some_and(|it| it.eq_ignore_ascii_case("https"));
        let mut client = proxy;
        for text in last_to_first(headers, &FORWARDED_FOR) {
            // A proxy that hides the address behind it (`unknown`) counts as the client.
            let Some(address) = parse_address(text) else { break };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        Client { address: Some(client), is_secure }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// The values of a list, which may be in several headers.
fn last_to_first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    lines.into_iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim)
}

/// Some proxies add the port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = text.parse().or_else(|_| with_port()).ok().or_else(in_brackets)?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(trusted: &[&str], peer: &str, headers: &[(HeaderName, &str)]) -> (String, bool) {
        let networks: Vec<Network> = trusted.iter().map(|text| text.parse().expect("a network")).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().expect("a header"));
        }
        let client = TrustedProxies::new(&networks).find(Some(peer.parse().expect("an address")), &map);
        (client.address.expect("an address").to_string(), client.is_secure)
    }

    #[test]
    fn list_is_read_from_the_right_up_to_the_first_untrusted_address() {
        let proxies = &["10.0.0.0/8", "192.0.2.1"][..];
        for (trusted, peer, lines, expected) in [
            (&[][..], "10.0.0.1", &["203.0.113.9"][..], "10.0.0.1"),
            (proxies, "203.0.113.7", &["203.0.113.9"], "203.0.113.7"),
            (proxies, "10.0.0.1", &[], "10.0.0.1"),
            (proxies, "10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            (proxies, "::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            (proxies, "10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (proxies, "10.0.0.1", &["1.1.1.1, 203.0.113.9, 192.0.2.1,10.3.3.3"], "203.0.113.9"),
            (proxies, "10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.3.3.3"], "203.0.113.9"),
            (proxies, "10.0.0.1", &["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            (proxies, "10.0.0.1", &["1.1.1.1, unknown, 10.2.2.2"], "10.2.2.2"),
            (proxies, "10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            (proxies, "10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            (proxies, "10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            (proxies, "10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| (FORWARDED_FOR, *line)).collect();
            assert_eq!(find(trusted, peer, &headers).0, expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_can_say_that_the_client_uses_https() {
        for (peer, lines, expected) in [
            ("10.0.0.1", &["https"][..], true),
            ("10.0.0.1", &["HTTPS"], true),
            ("10.0.0.1", &["http"], false),
            ("10.0.0.1", &["https, http"], false),
            ("10.0.0.1", &[], false),
            ("203.0.113.7", &["https"], false),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| (FORWARDED_PROTO, *line)).collect();
            assert_eq!(find(&["10.0.0.0/8"], peer, &headers).1, expected, "{peer} {lines:?}");
        }
    }
}
