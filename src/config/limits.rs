//! How much of the service one caller can use. 0 always means no limit.

use super::{EnvVars, Setting, number_in};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Requests per minute of one key.
    pub requests_per_key: u32,
    /// Requests per minute of one address that have no valid key.
    pub requests_per_address: u32,
    /// Requests per minute of one address with a key that is not valid.
    pub failed_sign_ins: u32,
    /// Expensive queries of one key that a process runs at the same time.
    pub queries_per_key: u32,
    /// Files that a process sends to one key at the same time.
    pub downloads_per_key: u32,
    /// Sockets of one key that a process serves.
    pub sockets_per_key: u32,
}

impl LimitsConfig {
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let mut number = |name, example, default| number_in(env, Setting::open(name, example), default, 0..=1_000_000);
        let requests_per_key = number("RATE_LIMIT_PER_KEY", "1200", 1_200);
        let requests_per_address = number("RATE_LIMIT_PER_ADDRESS", "120", 120);
        let failed_sign_ins = number("FAILED_SIGN_INS_PER_ADDRESS", "20", 20);
        let queries_per_key = number("EXPENSIVE_QUERIES_PER_KEY", "2", 2);
        let downloads_per_key = number("DOWNLOADS_PER_KEY", "2", 2);
        let sockets_per_key = number("WEBSOCKETS_PER_KEY", "100", 100);
        Some(Self {
            requests_per_key: requests_per_key?,
            requests_per_address: requests_per_address?,
            failed_sign_ins: failed_sign_ins?,
            queries_per_key: queries_per_key?,
            downloads_per_key: downloads_per_key?,
            sockets_per_key: sockets_per_key?,
        })
    }
}
