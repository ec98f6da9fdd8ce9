//! The two providers, and how often and how far they are read.

use std::time::Duration;

use super::{Environment, Setting, seconds};

/// How often and how far syncs read.
#[derive(Debug, Clone)]
pub struct SyncConfig {
    /// How often Vima is read.
    pub vima_interval: Duration,
    /// How often `PayShack` is read.
    pub payshack_interval: Duration,
    /// How many days the first run fetches.
    pub initial_days: u32,
    /// How far behind its cursor a Vima run begins: ids become visible late.
    pub vima_overlap: Duration,
    /// How many days behind its watermark a `PayShack` run begins.
    pub payshack_overlap_days: u32,
}

impl SyncConfig {
    /// Reads the intervals, `INITIAL_SYNC_DAYS` and the overlaps.
    pub fn read(environment: &mut Environment) -> Option<Self> {
        let vima_interval = seconds(environment, "VIMA_SYNC_INTERVAL_SECONDS", "60", 60);
        let payshack_interval = seconds(environment, "PAYSHACK_SYNC_INTERVAL_SECONDS", "300", 300);
        let initial_days = environment.optional(Setting::open("INITIAL_SYNC_DAYS", "7"), 7_u32);
        let vima_overlap = environment.optional(Setting::open("VIMA_OVERLAP_MINUTES", "15"), 15_u64);
        let payshack_overlap_days = environment.optional(Setting::open("PAYSHACK_OVERLAP_DAYS", "2"), 2_u32);
        Some(Self {
            vima_interval: vima_interval?,
            payshack_interval: payshack_interval?,
            initial_days: initial_days?.max(1),
            vima_overlap: Duration::from_secs(vima_overlap? * 60),
            payshack_overlap_days: payshack_overlap_days?,
        })
    }
}

/// The two providers.
#[derive(Debug, Clone)]
pub struct ProvidersConfig {}

impl ProvidersConfig {
    /// Reads the addresses, the credentials and the paces.
    pub fn read(_environment: &mut Environment) -> Option<Self> {
        Some(Self {})
    }
}
