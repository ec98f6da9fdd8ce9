//! The properties of an API key: its text, its name, where it may be used and how long.

use core::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::network::Network;
use crate::domain::string_enum::string_enum;

/// Enough to distinguish keys in a list (the environment and 8 of the 64 digits), far too little to guess one.
const SHOWN_DIGITS: usize = 8;
const MAX_NAME_LENGTH: usize = 100;
const MAX_NETWORKS: usize = 50;
/// The longest lifetime of a key that expires.
const MAX_LIFETIME_DAYS: u32 = 3_650;
const MAX_OVERLAP_HOURS: u32 = 30 * 24;
const DEFAULT_OVERLAP_HOURS: u32 = 24;
const DAY: Duration = Duration::from_hours(24);

string_enum! {
    /// What an installation is for. A key shows it, so that a key of a test is not taken for one that opens real data.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum KeyEnvironment {
        Live = "live",
        Test = "test",
    }
}

impl KeyEnvironment {
    /// The text of a key with these random bits, and its beginning, by which people recognize it.
    #[must_use]
    pub fn key_text(self, bits: &[u8; 32]) -> (String, String) {
        let digits = hex::encode(bits);
        let environment = self.as_str();
        (format!("psp_{environment}_{digits}"), format!("psp_{environment}_{}", &digits[..SHOWN_DIGITS]))
    }
}

impl FromStr for KeyEnvironment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_name(text).ok_or("must be live or test")
    }
}

/// The owner of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 || length > MAX_NAME_LENGTH || text.chars().any(char::is_control) {
            return Err(format!(
                "must name the owner of the key, with 1 to {MAX_NAME_LENGTH} characters and no control characters"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The networks from which a key may be used. Empty: from everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedNetworks(Vec<Network>);

impl AllowedNetworks {
    /// # Errors
    /// There are too many.
    pub fn new(networks: Vec<Network>) -> Result<Self, String> {
        if networks.len() > MAX_NETWORKS {
            return Err(format!("must be at most {MAX_NETWORKS} networks: combine them into larger ones"));
        }
        Ok(Self(networks))
    }

    /// Whether the key may be used from this address. An unknown address is allowed only if every address is.
    #[must_use]
    pub fn allow(&self, address: Option<IpAddr>) -> bool {
        self.0.is_empty() || address.is_some_and(|address| self.0.iter().any(|network| network.contains(address)))
    }

    /// As text; `None` if every address is allowed.
    #[must_use]
    pub fn to_texts(&self) -> Option<Vec<String>> {
        (!self.0.is_empty()).then(|| self.0.iter().map(ToString::to_string).collect())
    }
}

/// How long a new key is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLifetime(Duration);

impl KeyLifetime {
    /// # Errors
    /// What the number must be.
    pub fn from_days(days: u32) -> Result<Self, String> {
        match days {
            1..=MAX_LIFETIME_DAYS => Ok(Self(DAY * days)),
            _ => Err(format!("must be 1 to {MAX_LIFETIME_DAYS} days; without it, the key does not expire")),
        }
    }

    #[must_use]
    pub fn end(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.0
    }
}

/// How long a replaced key is still accepted, so that its users can change to the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationOverlap(Duration);

impl RotationOverlap {
    /// # Errors
    /// What the number must be.
    pub fn from_hours(hours: u32) -> Result<Self, String> {
        match hours {
            0..=MAX_OVERLAP_HOURS => Ok(Self(Duration::from_hours(hours.into()))),
            _ => Err(format!("must be 0 to {MAX_OVERLAP_HOURS} hours")),
        }
    }

    /// When a key that would end at `expires_at` ends after its rotation: never later than without it.
    #[must_use]
    pub fn end(self, now: DateTime<Utc>, expires_at: Option<DateTime<Utc>>) -> DateTime<Utc> {
        let end = now + self.0;
        expires_at.map_or(end, |expires_at| expires_at.min(end))
    }
}

impl Default for RotationOverlap {
    fn default() -> Self {
        Self(Duration::from_hours(DEFAULT_OVERLAP_HOURS.into()))
    }
}

/// When the replacement of a key expires: it is valid as long as the key was meant to be.
#[must_use]
pub fn replacement_end(
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    expires_at.map(|expires_at| now + (expires_at - created_at))
}

/// Why a key no longer gives the access that it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyEnd {
    #[error("key revoked")]
    Revoked,
    #[error("key expired on {}", .0.format("%Y-%m-%d %H:%M UTC"))]
    Expired(DateTime<Utc>),
    /// Its role or its scope.
    #[error("key changed: connect again")]
    Changed,
    /// The browser session, not the key.
    #[error("session ended: sign in again")]
    SessionEnded,
}

impl KeyEnd {
    /// Of a key with these times; `None` if it is valid.
    #[must_use]
    pub fn of_times(revoked: bool, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Self> {
        if revoked { Some(Self::Revoked) } else { expires_at.filter(|end| *end <= now).map(Self::Expired) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn key_text_names_its_environment() {
        let (key, prefix) = KeyEnvironment::Test.key_text(&[0xab; 32]);
        assert_eq!((key, prefix.as_str()), (format!("psp_test_{}", "ab".repeat(32)), "psp_test_abababab"));
        assert!(KeyEnvironment::Live.key_text(&[0; 32]).0.starts_with("psp_live_00"));
        assert!("prod".parse::<KeyEnvironment>().is_err());
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        for (text, name) in [(" finance ", Some("finance")), ("", None), ("  ", None), ("a\nb", None), ("ü", Some("ü"))]
        {
            assert_eq!(text.parse::<KeyName>().ok().as_ref().map(KeyName::as_str), name, "{text:?}");
        }
        assert!("x".repeat(MAX_NAME_LENGTH + 1).parse::<KeyName>().is_err());
    }

    #[test]
    fn networks_allow_their_addresses_only() {
        let networks = |texts: &[&str]| {
            AllowedNetworks::new(texts.iter().map(|text| text.parse().expect(text)).collect()).expect("few networks")
        };
        for (allowed, address, expected) in [
            (networks(&[]), Some("192.0.2.1"), true),
            (networks(&[]), None, true),
            (networks(&["10.1.0.0/16"]), Some("10.1.200.3"), true),
            (networks(&["10.1.0.0/16"]), Some("10.2.0.1"), false),
            (networks(&["10.1.0.0/16"]), Some("::ffff:10.1.0.1"), true),
            (networks(&["10.1.0.0/16"]), None, false),
            (networks(&["192.0.2.7", "2001:db8::/32"]), Some("192.0.2.7"), true),
            (networks(&["192.0.2.7", "2001:db8::/32"]), Some("192.0.2.8"), false),
            (networks(&["192.0.2.7", "2001:db8::/32"]), Some("2001:db8:1::1"), true),
            (networks(&["::/0"]), Some("192.0.2.8"), false),
        ] {
            assert_eq!(allowed.allow(address.map(|it| it.parse().expect(it))), expected, "{allowed:?} {address:?}");
        }
        assert_eq!(networks(&["10.1.2.3/16"]).to_texts(), Some(vec!["10.1.0.0/16".to_owned()]));
        assert!(AllowedNetworks::new(vec!["::/0".parse().expect("a network"); MAX_NETWORKS + 1]).is_err());
    }

    #[test]
    fn rotation_never_extends_a_key() {
        let now = time("2026-01-15T10:00:00Z");
        let overlap = RotationOverlap::from_hours(48).expect("in range");
        assert_eq!(overlap.end(now, None), time("2026-01-17T10:00:00Z"));
        assert_eq!(overlap.end(now, Some(time("2026-01-16T00:00:00Z"))), time("2026-01-16T00:00:00Z"));
        assert_eq!(overlap.end(now, Some(time("2027-01-01T00:00:00Z"))), time("2026-01-17T10:00:00Z"));
        assert!(RotationOverlap::from_hours(721).is_err());
        let end = replacement_end(time("2026-01-01T00:00:00Z"), Some(time("2026-01-31T00:00:00Z")), now);
        assert_eq!(end, Some(time("2026-02-14T10:00:00Z")));
        assert_eq!(replacement_end(time("2026-01-01T00:00:00Z"), None, now), None);
    }

    #[test]
    fn key_ends_at_its_expiry() {
        let (now, later) = (time("2026-01-15T10:00:00Z"), time("2026-01-15T10:00:01Z"));
        for (revoked, expires_at, end) in [
            (false, None, None),
            (false, Some(later), None),
            (false, Some(now), Some(KeyEnd::Expired(now))),
            (true, Some(later), Some(KeyEnd::Revoked)),
            (true, Some(now), Some(KeyEnd::Revoked)),
        ] {
            assert_eq!(KeyEnd::of_times(revoked, expires_at, now), end, "{revoked} {expires_at:?}");
        }
        assert_eq!(KeyEnd::Expired(now).to_string(), "key expired on 2026-01-15 10:00 UTC");
        assert!(KeyLifetime::from_days(0).is_err() && KeyLifetime::from_days(3_651).is_err());
        assert_eq!(KeyLifetime::from_days(1).expect("in range").end(now), time("2026-01-16T10:00:00Z"));
    }
}
