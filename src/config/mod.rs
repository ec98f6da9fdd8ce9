//! Configuration: a struct per concern, each read from the environment here and nowhere else, or built by hand in tests.
//!
//! The names are those of the service that this one replaces, so that an operator moves over by pointing the same `.env`
//! at it. A program reads only the concerns it has: the web process runs without a provider's password.

mod access;
mod environment;
mod export_store;
mod programs;
mod providers;
mod reconciliation;
mod servers;

pub use access::{AccessConfig, BootstrapKey};
pub use environment::{ConfigError, EnvVars, Setting};
pub use programs::{JobsConfig, RetentionConfig, WebConfig, WorkerConfig};
pub use providers::{ProvidersConfig, SyncConfig};
pub use reconciliation::ReconciliationConfig;
pub use servers::{LogFormat, ServersConfig, TelemetryConfig};

use std::str::FromStr;
use std::time::Duration;

/// Whole seconds, as settings give them.
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

/// Reads a setting in whole seconds.
fn seconds(environment: &mut EnvVars, name: &'static str, example: &'static str, default: u64) -> Option<Duration> {
    let read = environment.optional(Setting::open(name, example), Seconds(Duration::from_secs(default)));
    read.map(|Seconds(duration)| duration)
}

/// A switch: `true` or `false`, also `1`, `0`, `yes`, `no`, `on`, `off`.
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
