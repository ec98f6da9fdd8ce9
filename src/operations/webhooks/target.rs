//! Which addresses may receive webhooks: `https` at public addresses, so that no webhook can make this program send requests into the
//! network that it runs in.
//!
//! A URL is checked when it is set and before each request. A name is checked after it is resolved, by the resolver that the HTTP
//! client connects with: the addresses that were checked are those that are used, so a name that resolves differently the next
//! moment gains nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::loopback::is_loopback;
use crate::domain::network::is_public;

const MAX_LENGTH: usize = 2_048;
/// Other ports below 1024 belong to other protocols.
const HTTPS_PORT: u16 = 443;
const FIRST_USER_PORT: u16 = 1_024;

/// Where receivers may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedTargets {
    Public,
    /// Also this machine, by plain HTTP too. For tests and the demo.
    PublicAndLoopback,
}

/// An address that must not receive webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("must be a URL such as https://example.com/webhooks, with at most {MAX_LENGTH} characters")]
    Unreadable,
    #[error("must begin with https://")]
    Insecure,
    #[error("must not contain a user name or a password: the receiver verifies the signature instead")]
    Credentials,
    #[error("must not contain a fragment (#)")]
    Fragment,
    #[error("must have the port {HTTPS_PORT} or one from {FIRST_USER_PORT} on")]
    Port,
    #[error("must be a public address: this one belongs to this machine, a private network or a special purpose")]
    NotPublic,
}

impl AllowedTargets {
    #[must_use]
    pub fn new(allow_loopback: bool) -> Self {
        if allow_loopback { Self::PublicAndLoopback } else { Self::Public }
    }

    fn allows(self, address: IpAddr) -> bool {
        is_public(address) || self == Self::PublicAndLoopback && address.to_canonical().is_loopback()
    }

    /// # Errors
    /// What is wrong with the URL. A name may still resolve to an address that is not allowed.
    pub fn check(self, text: &str) -> Result<Url, TargetError> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_LENGTH).ok_or(TargetError::Unreadable)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(TargetError::Unreadable)?;
        let is_local = is_loopback(host);
        let is_allowed_local = is_local && self == Self::PublicAndLoopback;
        match url.scheme() {
            "https" => {}
            "http" if is_allowed_local => {}
            _ => return Err(TargetError::Insecure),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if port < FIRST_USER_PORT && port != HTTPS_PORT {
            return Err(TargetError::Port);
        }
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_allowed = address.map_or(!is_local || is_allowed_local, |address| self.allows(address));
        if is_allowed { Ok(url) } else { Err(TargetError::NotPublic) }
    }
}

type ResolveError = Box<dyn std::error::Error + Send + Sync>;

/// Resolves names; a parameter, so that a test can change what a name resolves to.
pub(super) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

pub(super) fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) }))
}

/// The resolver of the HTTP client, which returns only addresses that are allowed.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    pub(super) allowed: AllowedTargets,
    pub(super) lookup: Lookup,
}

impl CheckedResolver {
    /// One address that is not allowed refuses the name: its owner has no reason to mix them.
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, ResolveError> {
        let addresses = (self.lookup)(name.to_owned()).await?;
        if addresses.iter().all(|address| self.allowed.allows(address.ip())) {
            Ok(addresses)
        } else {
            Err(TargetError::NotPublic.into())
        }
    }
}

impl fmt::Debug for CheckedResolver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.allowed.fmt(out)
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move { Ok(Box::new(resolver.addresses(name.as_str()).await?.into_iter()) as Addrs) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_at_public_addresses_is_allowed() {
        use TargetError::{Credentials, Fragment, Insecure, NotPublic, Port, Unreadable};
        for (url, expected) in [
            ("https://example.com/hooks?tenant=7", None),
            ("https://example.com:8443/", None),
            ("https://8.8.8.8/", None),
            ("https://[2606:4700::1111]/", None),
            ("http://example.com/", Some(Insecure)),
            ("ftp://example.com/", Some(Insecure)),
            ("file:///etc/passwd", Some(Unreadable)),
            ("https://example.com:80/", Some(Port)),
            ("example.com", Some(Unreadable)),
            ("https://", Some(Unreadable)),
            ("", Some(Unreadable)),
            ("https://user@example.com/", Some(Credentials)),
            ("https://:password@example.com/", Some(Credentials)),
            ("https://example.com/#part", Some(Fragment)),
            ("https://example.com:22/", Some(Port)),
            ("https://example.com:1023/", Some(Port)),
            ("https://localhost/", Some(NotPublic)),
            ("https://db.localhost./", Some(NotPublic)),
            ("https://127.0.0.1/", Some(NotPublic)),
            ("https://2130706433/", Some(NotPublic)),
            ("https://0x7f.1/", Some(NotPublic)),
            ("https://017700000001/", Some(NotPublic)),
            ("https://169.254.169.254/latest/meta-data", Some(NotPublic)),
            ("https://10.0.0.1/", Some(NotPublic)),
            ("https://100.64.0.1/", Some(NotPublic)),
            ("https://0.0.0.0/", Some(NotPublic)),
            ("https://[::1]/", Some(NotPublic)),
            ("https://[::ffff:169.254.169.254]/", Some(NotPublic)),
            ("https://[fd00:ec2::254]/", Some(NotPublic)),
            ("https://[fe80::1]/", Some(NotPublic)),
            ("https://[64:ff9b::a00:1]/", Some(NotPublic)),
        ] {
            assert_eq!(AllowedTargets::Public.check(url).err(), expected, "{url}");
        }
        assert_eq!(
            AllowedTargets::Public.check(&format!("https://example.com/{}", "a".repeat(2_048))),
            Err(Unreadable)
        );
    }

    #[test]
    fn loopback_is_allowed_by_setting_only() {
        for (url, expected) in [
            ("http://127.0.0.1:9000/", None),
            ("http://localhost:9000/", None),
            ("https://[::1]:9000/", None),
            ("http://10.0.0.1:9000/", Some(TargetError::Insecure)),
            ("https://10.0.0.1:9000/", Some(TargetError::NotPublic)),
            ("http://example.com/", Some(TargetError::Insecure)),
        ] {
            assert_eq!(AllowedTargets::PublicAndLoopback.check(url).err(), expected, "{url}");
        }
    }
}
