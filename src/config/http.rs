//! Limits of the clients of the web process.

use std::time::Duration;

use super::{EnvVars, Setting, Switch, number_in, seconds};

#[derive(Debug, Clone, Copy)]
pub struct HttpConfig {
    /// The most connections at a time, including those of a WebSocket.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// The least bytes per second that a client of a file must accept.
    pub min_download_rate: u64,
    /// How long a file may be sent.
    pub max_download: Duration,
    /// Whether unknown query parameters are ignored instead of refused.
    pub lenient_parameters: bool,
}

impl HttpConfig {
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let max_connections = number_in(env, Setting::open("HTTP_MAX_CONNECTIONS", "800"), 800, 1..=1_000_000);
        let header_timeout = seconds(env, "HTTP_HEADER_TIMEOUT_SECONDS", "30", 30);
        let idle_timeout = seconds(env, "HTTP_IDLE_TIMEOUT_SECONDS", "75", 75);
        let min_download_rate = env.optional(Setting::open("DOWNLOAD_MIN_BYTES_PER_SECOND", "32768"), 32_768_u64);
        let max_download = seconds(env, "DOWNLOAD_MAX_SECONDS", "1800", 1_800);
        let lenient_parameters = env.optional(Setting::open("LENIENT_PARAMETERS", "true"), Switch(false));
        Some(Self {
            max_connections: max_connections? as usize,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            min_download_rate: min_download_rate?,
            max_download: max_download?,
            lenient_parameters: lenient_parameters?.0,
        })
    }
}
