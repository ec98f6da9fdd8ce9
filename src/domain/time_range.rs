//! A half-open range of time.

use chrono::{DateTime, Utc};

/// From `from` (inclusive) to `until` (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl TimeRange {
    /// Contains every payment.
    pub const ALL: Self = Self { from: DateTime::UNIX_EPOCH, until: END_OF_TIME };
}

/// 2200-01-01. A midnight of UTC, so that rollup cells of every width end there.
const END_OF_TIME: DateTime<Utc> = match DateTime::from_timestamp(7_258_118_400, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};
