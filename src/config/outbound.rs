//! How requests leave the programs, and which addresses they may go to.

use reqwest::Url;

use super::{EnvVars, Setting, Switch};
use crate::domain::loopback::is_loopback;
use crate::outbound::{Outbound, ProxyUrl};

/// Reads `OUTBOUND_PROXY`.
pub(super) fn read(env: &mut EnvVars) -> Option<Outbound> {
    let setting = Setting::secret("OUTBOUND_PROXY", "http://proxy.example.com:3128");
    match env.text(setting.name) {
        Some(text) => env.parse::<ProxyUrl>(setting, &text).map(|proxy| Outbound::new(Some(proxy))),
        None => Some(Outbound::default()),
    }
}

/// Whether nobody else can read a request to this address: it is encrypted, or does not leave this machine.
pub(super) fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || url.host_str().is_some_and(is_loopback)
}

/// Reports an address of a provider that is not [`is_private`], unless `ALLOW_INSECURE_PROVIDER_URLS` is set.
pub(super) fn check_provider(env: &mut EnvVars, setting: Setting, url: &Url) -> Option<()> {
    let allowed = env.optional(Setting::open("ALLOW_INSECURE_PROVIDER_URLS", "true"), Switch(false))?;
    let problem = if !matches!(url.scheme(), "http" | "https") {
        "must be an http or https URL"
    } else if !allowed.0 && !is_private(url) {
        "would send credentials and payments unencrypted: use https, or set ALLOW_INSECURE_PROVIDER_URLS=true in a network that \
         nobody else can read"
    } else {
        return Some(());
    };
    env.error(setting, Some(url.as_str()), problem);
    None
}
