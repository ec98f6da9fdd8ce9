//! The last minutes, including the current one.
//!
//! They end with the current minute instead of the present instant, so that all requests within a minute are the same query
//! and can share a cached answer. No payment lies in the future, so none is counted too early.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::domain::time_range::TimeRange;

/// The last minutes, up to the end of the minute that contains `now`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastMinutes(Vec<DateTime<Utc>>);

impl LastMinutes {
    /// At least one minute.
    #[must_use]
    pub fn new(count: u32, now: DateTime<Utc>) -> Self {
        // Fails only for times outside the range of 64-bit nanoseconds.
        let running = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        let count = i64::from(count.max(1));
        Self((1 - count..=1).map(|minute| running + TimeDelta::minutes(minute)).collect())
    }

    /// The start of each minute, and the end of the last one.
    #[must_use]
    pub fn boundaries(&self) -> &[DateTime<Utc>] {
        &self.0
    }

    /// The start of each minute, the earliest first.
    #[must_use]
    pub fn starts(&self) -> &[DateTime<Utc>] {
        &self.0[..self.0.len() - 1]
    }

    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        TimeRange { from: self.0[0], until: self.0[self.0.len() - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn current_minute_is_the_last_one() {
        for (now, count, from, until) in [
            ("2026-01-15T10:00:30.5Z", 5, "2026-01-15T09:56:00Z", "2026-01-15T10:01:00Z"),
            ("2026-01-15T10:00:00Z", 5, "2026-01-15T09:56:00Z", "2026-01-15T10:01:00Z"),
            ("2026-01-15T10:00:59.999Z", 1440, "2026-01-14T10:01:00Z", "2026-01-15T10:01:00Z"),
            ("2026-01-15T10:00:00Z", 1, "2026-01-15T10:00:00Z", "2026-01-15T10:01:00Z"),
        ] {
            let minutes = LastMinutes::new(count, time(now));
            assert_eq!(minutes.time_range(), TimeRange { from: time(from), until: time(until) }, "{now}");
            assert_eq!(minutes.starts().len(), count as usize, "{now}");
            assert_eq!(minutes.boundaries().len(), count as usize + 1, "{now}");
        }
    }
}
