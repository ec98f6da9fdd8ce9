//! The last minutes, the one that is running among them.
//!
//! They end with the running minute, not with the present instant: whoever asks within a minute asks the same, and is given the
//! same answer for as long as no payment comes. Nothing lies in the future that could be counted too early.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::domain::time_range::TimeRange;

/// The last so many minutes up to the end of the one that `now` falls in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastMinutes(Vec<DateTime<Utc>>);

impl LastMinutes {
    /// `count` minutes; at least one.
    #[must_use]
    pub fn new(count: u32, now: DateTime<Utc>) -> Self {
        // Rounding fails only for times that nanoseconds of 64 bits cannot count.
        let running = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        let count = i64::from(count.max(1));
        Self((1 - count..=1).map(|minute| running + TimeDelta::minutes(minute)).collect())
    }

    /// Where each begins, and where the last one ends.
    #[must_use]
    pub fn boundaries(&self) -> &[DateTime<Utc>] {
        &self.0
    }

    /// Where each begins, the earliest first.
    #[must_use]
    pub fn starts(&self) -> &[DateTime<Utc>] {
        &self.0[..self.0.len() - 1]
    }

    /// All of them.
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
    fn the_running_minute_is_the_last_one() {
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
