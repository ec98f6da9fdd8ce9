//! The base of every HTTP client: providers, exchange rates, the object store, the identity provider, webhooks, the collector of
//! traces.
//!
//! What must hold for each request that leaves this program is decided once, here:
//!
//! - Redirects are not followed. Requests carry credentials, in the URL or in headers that a library would pass on
//!   (`X-Amz-Security-Token`), and no server that is called here redirects in normal operation.
//! - Certificates are verified; there is no setting that switches this off.
//! - A proxy is used only if `OUTBOUND_PROXY` names it. `HTTP_PROXY` and the like, which other software on a host may set, are
//!   ignored: a proxy sees the credentials of requests to `http://` addresses, and all addresses.

use std::error::Error;
use std::str::FromStr;

use reqwest::{Client, ClientBuilder, NoProxy, Proxy, redirect};

use crate::domain::secret::Secret;

/// Reached without the proxy: this machine, and the address at which clouds hand out credentials to a machine.
const DIRECT: &str = "localhost,127.0.0.0/8,::1,169.254.169.254";

/// How requests leave this program. The default is a direct connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbound {
    proxy: Option<ProxyUrl>,
}

/// `OUTBOUND_PROXY`. It may contain a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyUrl(Secret);

impl FromStr for ProxyUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        match Proxy::all(text) {
            Ok(_) if is_http => Ok(Self(Secret::new(text))),
            _ => Err("must be an http:// or https:// URL"),
        }
    }
}

impl Outbound {
    #[must_use]
    pub fn new(proxy: Option<ProxyUrl>) -> Self {
        Self { proxy }
    }

    /// Whether a proxy makes the connections, and resolves the names.
    #[must_use]
    pub fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// The base of a client; the caller adds its timeouts.
    pub fn client(&self) -> Result<ClientBuilder, reqwest::Error> {
        #[expect(clippy::disallowed_methods, reason = "this is where clients are made")]
        let builder = Client::builder()
            .user_agent(concat!("psp-dashboard/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy();
        Ok(match &self.proxy {
            Some(ProxyUrl(url)) => builder.proxy(Proxy::all(url.expose())?.no_proxy(NoProxy::from_string(DIRECT))),
            None => builder,
        })
    }
}

/// An error and its sources, as one text. The URL, which may contain a key, must be removed before (`without_url`).
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let errors = std::iter::successors(Some(error), |error| (*error).source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_is_an_http_url_and_its_password_is_hidden() {
        let proxy: ProxyUrl = "http://user:s3cret@proxy.example:3128".parse().expect("a URL");
        assert!(!format!("{:?}", Outbound::new(Some(proxy))).contains("s3cret"));
        for text in ["", "proxy.example:3128", "ftp://proxy.example", "socks5://proxy.example"] {
            assert!(text.parse::<ProxyUrl>().is_err(), "{text}");
        }
    }
}
