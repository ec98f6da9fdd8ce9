//! How much exports may use.

use super::{EnvVars, Setting};
use crate::domain::export_quota::ExportQuota;

/// Reads the limits of exports; 0 always means no limit.
pub(super) fn read(env: &mut EnvVars) -> Option<ExportQuota> {
    let mut number = |name, example, default| env.optional(Setting::open(name, example), default);
    let unfinished_per_key = number("EXPORTS_PER_KEY", "5", 5);
    let unfinished = number("EXPORTS_TOTAL", "50", 50);
    let bytes_per_key = number("EXPORT_BYTES_PER_KEY", "2000000000", 2_000_000_000);
    let bytes = number("EXPORT_BYTES_TOTAL", "20000000000", 20_000_000_000);
    let rows_alert = number("EXPORT_ROWS_ALERT", "1000000", 1_000_000);
    let rows_limit = number("EXPORT_ROWS_LIMIT", "5000000", 0);
    Some(ExportQuota {
        unfinished_per_key: unfinished_per_key?,
        unfinished: unfinished?,
        bytes_per_key: bytes_per_key?,
        bytes: bytes?,
        rows_alert: rows_alert?,
        rows_limit: rows_limit?,
    })
}
