//! The cookies of browsers: their names, attributes, and when they are `Secure`.
//!
//! A browser sends a `Secure` cookie only over TLS, and accepts a `__Host-` name only from the host itself, so that no other
//! host of the domain can plant one. Whether a browser uses TLS is known from `PUBLIC_URL`, or from the `X-Forwarded-Proto` of
//! a proxy. That header is believed from any sender: a client that lies gets a stricter cookie, and no browser lets another
//! page send it.

use poem::http::HeaderMap;
use poem::http::header::{COOKIE, HeaderValue};

use crate::config::PublicUrl;
use crate::domain::session::SESSION_LIFETIME;

/// A kind of cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct Cookie {
    name: &'static str,
    same_site: &'static str,
    max_age_seconds: u64,
}

impl Cookie {
    /// Its name without TLS.
    pub(in crate::web) fn name(self) -> &'static str {
        self.name
    }
}

/// The token of a session. `Strict`: pages of other sites cannot use it at all.
pub(in crate::web) const SESSION: Cookie =
    Cookie { name: "psp_session", same_site: "Strict", max_age_seconds: SESSION_LIFETIME.as_secs() };
/// The secret of an attempt to sign in. `Lax`: the browser must send it when the identity provider redirects back.
pub(in crate::web) const SIGN_IN: Cookie = Cookie { name: "psp_sign_in", same_site: "Lax", max_age_seconds: 600 };

/// The prefix of the names of `Secure` cookies.
const SECURE_PREFIX: &str = "__Host-";

/// Writes and reads cookies.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Cookies {
    always_secure: bool,
}

impl Cookies {
    pub(in crate::web) fn new(public_url: Option<&PublicUrl>) -> Self {
        Self { always_secure: public_url.is_some_and(PublicUrl::is_https) }
    }

    /// Whether the browser uses TLS, as far as is known.
    pub(in crate::web) fn is_secure(&self, headers: &HeaderMap) -> bool {
        let forwarded = || headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        let is_https = |text: &str| text.split(',').any(|scheme| scheme.trim().eq_ignore_ascii_case("https"));
        self.always_secure || forwarded().is_some_and(is_https)
    }

    /// The value of `Set-Cookie`; `headers` are those of the request. `value` must consist of characters that cookies may have.
    pub(in crate::web) fn set(&self, headers: &HeaderMap, cookie: Cookie, value: &str) -> String {
        self.write(headers, cookie, value, cookie.max_age_seconds)
    }

    /// The `Set-Cookie` that deletes a cookie.
    pub(in crate::web) fn clear(&self, headers: &HeaderMap, cookie: Cookie) -> String {
        self.write(headers, cookie, "", 0)
    }

    fn write(&self, headers: &HeaderMap, cookie: Cookie, value: &str, max_age_seconds: u64) -> String {
        let Cookie { name, same_site, .. } = cookie;
        let (prefix, secure) = if self.is_secure(headers) { (SECURE_PREFIX, "; Secure") } else { ("", "") };
        format!("{prefix}{name}={value}; HttpOnly; SameSite={same_site}; Path=/; Max-Age={max_age_seconds}{secure}")
    }

    /// The value that the browser sends. Over TLS only the name with the prefix counts.
    pub(in crate::web) fn read<'headers>(&self, headers: &'headers HeaderMap, cookie: Cookie) -> Option<&'headers str> {
        let prefix = if self.is_secure(headers) { SECURE_PREFIX } else { "" };
        let lists = headers.get_all(COOKIE).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let found = pairs.find(|(name, _)| name.strip_prefix(prefix) == Some(cookie.name));
        found.map(|(_, value)| value).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn public(url: &str) -> Cookies {
        Cookies::new(Some(&url.parse().expect(url)))
    }

    #[test]
    fn cookie_is_secure_behind_tls() {
        let plain = "psp_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200";
        let secure = format!("__Host-{plain}; Secure");
        for (cookies, request, expected) in [
            (Cookies::default(), &[][..], plain),
            (Cookies::default(), &[("x-forwarded-proto", "http")], plain),
            (Cookies::default(), &[("x-forwarded-proto", "https")], &secure),
            (Cookies::default(), &[("x-forwarded-proto", "HTTPS, http")], &secure),
            (public("http://localhost:8000"), &[], plain),
            (public("https://dash.example.com"), &[], &secure),
        ] {
            assert_eq!(cookies.set(&headers(request), SESSION, "t"), expected, "{cookies:?} {request:?}");
        }
    }

    #[test]
    fn cookie_is_found_by_its_whole_name() {
        let secure = public("https://dash.example.com");
        for (cookies, sent, expected) in [
            (&Cookies::default(), &["psp_session=t"][..], Some("t")),
            (&Cookies::default(), &["a=b; psp_session=t; c=d"], Some("t")),
            (&Cookies::default(), &["a=b", "psp_session=t"], Some("t")),
            (&Cookies::default(), &["xpsp_session=t"], None),
            (&Cookies::default(), &["psp_session="], None),
            (&Cookies::default(), &["psp_session"], None),
            (&Cookies::default(), &["__Host-psp_session=t"], None),
            (&secure, &["psp_session=t"], None),
            (&secure, &["psp_session=planted; __Host-psp_session=t"], Some("t")),
        ] {
            let pairs: Vec<(&str, &str)> = sent.iter().map(|&list| ("cookie", list)).collect();
            assert_eq!(cookies.read(&headers(&pairs), SESSION), expected, "{cookies:?} {sent:?}");
        }
    }

    #[test]
    fn cleared_cookie_expires_at_once() {
        let cleared = Cookies::default().clear(&HeaderMap::new(), SIGN_IN);
        assert_eq!(cleared, "psp_sign_in=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    }
}
