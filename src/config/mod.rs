//! Configuration: a struct per concern, read from the environment only here, or built by hand in tests.
//!
//! The names are those of the service that this one replaces, so that the same `.env` works for both. A program reads only
//! what it needs: the web process runs without a provider's password.

mod access;
mod env_vars;
mod events;
mod export_quota;
pub mod export_store;
mod http;
mod limits;
mod metrics_listener;
mod network;
mod notifications;
mod outbound;
mod programs;
mod providers;
mod published;
mod reconciliation;
mod reports;
mod servers;
mod sign_in;
mod traces;
mod webhooks;

pub use access::{AccessConfig, BootstrapKey};
pub use env_vars::{ConfigError, EnvVars, Setting};
pub use http::HttpConfig;
pub use limits::LimitsConfig;
pub use metrics_listener::MetricsListenerConfig;
pub use network::NetworkConfig;
pub use notifications::{EmailConfig, NotificationsConfig, TelegramConfig};
pub use programs::{JobsConfig, RetentionConfig, WebConfig, WorkerConfig};
pub use providers::{ProvidersConfig, SyncConfig};
pub use reconciliation::ReconciliationConfig;
pub use reports::ReportsConfig;
pub use servers::{LogFormat, ServersConfig, TelemetryConfig};
pub use sign_in::{Issuer, OidcConfig, PublicUrl};
pub use traces::TracesConfig;
pub use webhooks::WebhooksConfig;

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(0) => Err("must be at least 1 second".to_owned()),
            Ok(seconds) => Ok(Self(Duration::from_secs(seconds))),
            Err(_) => Err("must be a whole number of seconds".to_owned()),
        }
    }
}

fn number_in(env: &mut EnvVars, setting: Setting, default: u32, allowed: RangeInclusive<u32>) -> Option<u32> {
    let value = env.optional(setting, default)?;
    if allowed.contains(&value) {
        return Some(value);
    }
    let problem = format!("must be from {} to {}", allowed.start(), allowed.end());
    env.error(setting, Some(&value.to_string()), &problem);
    None
}

fn seconds(env: &mut EnvVars, name: &'static str, example: &'static str, default: u64) -> Option<Duration> {
    let read = env.optional(Setting::open(name, example), Seconds(Duration::from_secs(default)));
    read.map(|Seconds(duration)| duration)
}

/// The parts of a list with commas.
fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// `true` or `false`, also `1`, `0`, `yes`, `no`, `on`, `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Switch(bool);

impl FromStr for Switch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Self(true)),
            "false" | "0" | "no" | "off" => Ok(Self(false)),
            _ => Err("must be true or false"),
        }
    }
}
