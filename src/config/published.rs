//! Secrets that this repository has published: its examples, and the defaults of the sandbox.
//!
//! They are the first that an attacker tries, and people who copied them did not mean to keep them.

use reqwest::Url;

use super::{EnvVars, Setting};
use crate::domain::loopback::is_loopback;

/// In `.env.example` of any release, in `compose.yaml`, in the messages about missing settings, and in the sandbox.
const PUBLISHED: [&str; 8] = [
    "made-up-key-of-32-characters-or-so",
    "a-long-random-text",
    "made-up-password",
    "password",
    "sandbox-vima-key",
    "sandbox-password",
    "the-key-of-your-account",
    "the-password-of-your-account",
];

pub(super) fn is_published(secret: &str) -> bool {
    PUBLISHED.contains(&secret)
}

/// Reports a published secret.
pub(super) fn refuse_published(env: &mut EnvVars, setting: Setting, secret: &str) -> Option<()> {
    if !is_published(secret) {
        return Some(());
    }
    env.error(setting, Some(secret), "is an example that anyone can read: replace it by a secret of your own");
    None
}

/// Reports a published password in the address of a server that other machines can reach.
pub(super) fn refuse_published_password(env: &mut EnvVars, setting: Setting) -> Option<()> {
    let text = env.text(setting.name).unwrap_or_default();
    refuse_password_of(env, setting, &text)
}

/// The same for one of the addresses of a setting.
pub(super) fn refuse_password_of(env: &mut EnvVars, setting: Setting, address: &str) -> Option<()> {
    let url = Url::parse(address).ok();
    let Some(url) = url.filter(|url| !url.host_str().is_some_and(is_loopback)) else { return Some(()) };
    refuse_published(env, setting, url.password().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_settings_contain_no_secret() {
        let example = include_str!("../../.env.example");
        for secret in PUBLISHED.iter().filter(|secret| **secret != "password") {
            assert!(!example.contains(secret), "{secret}");
        }
        let set = example.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        let mut secrets = set.filter(|(name, _)| ["KEY", "PASSWORD", "SECRET"].iter().any(|part| name.contains(part)));
        assert!(secrets.all(|(_, value)| value.is_empty()), "a copy of the file must not start with secrets of anyone");
    }
}
