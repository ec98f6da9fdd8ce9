//! A half-open range of time.

use chrono::{DateTime, Utc};

/// From `from`, included, to `until`, excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl TimeRange {
    /// Contains every payment.
    pub const ALL: Self = Self { from: DateTime::UNIX_EPOCH, until: END_OF_TIME };
}

/// A whole day of UTC, centuries from any payment.
const END_OF_TIME: DateTime<Utc> = match DateTime::from_timestamp(7_258_118_400, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};
