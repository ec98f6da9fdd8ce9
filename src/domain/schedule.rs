//! Recurrences: a fixed interval of seconds, or a cron expression.
//!
//! All ticks of a [`Recurrence`], past and future, follow from its definition: any number of schedulers agree on them,
//! and missed ticks can be found afterwards.

mod cron;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;

pub use cron::{Cron, CronError, CronExpression};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recurrence {
    Every(Every),
    Cron(Cron),
}

impl Recurrence {
    /// The last tick at or before `now`.
    #[must_use]
    pub fn last_tick(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Every(every) => Some(every.last_tick(now)),
            Self::Cron(cron) => cron.last_tick(now),
        }
    }

    /// The first tick after `now`.
    #[must_use]
    pub fn next_tick(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Every(every) => Some(every.next_tick(now)),
            Self::Cron(cron) => cron.next_tick(now),
        }
    }

    /// The ticks after `last` and up to `now`, oldest first; at most the newest `most`.
    #[must_use]
    pub fn ticks_since(&self, last: DateTime<Utc>, now: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        match self {
            Self::Every(every) => every.ticks_since(last, now, most),
            Self::Cron(cron) => cron.ticks_since(last, now, most),
        }
    }

    /// The zone of the cron expression. Intervals are counted from the epoch, which is in UTC.
    #[must_use]
    pub fn zone(&self) -> Tz {
        match self {
            Self::Every(_) => Tz::UTC,
            Self::Cron(cron) => cron.zone,
        }
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(every) => every.fmt(out),
            Self::Cron(cron) => cron.expression.fmt(out),
        }
    }
}

/// An interval in whole seconds, aligned to the epoch: several schedulers, or one that restarts, tick at the same
/// instants. Cron cannot express every 45 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(pub Duration);

impl Every {
    fn seconds(self) -> i64 {
        i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX).max(1)
    }

    /// The last tick at or before `now`.
    #[must_use]
    pub fn last_tick(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let seconds = self.seconds();
        Utc.timestamp_opt(now.timestamp().div_euclid(seconds) * seconds, 0).single().unwrap_or(now)
    }

    #[must_use]
    pub fn next_tick(self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.last_tick(now) + Duration::from_secs(self.seconds().unsigned_abs())
    }

    #[must_use]
    pub fn ticks_since(self, last: DateTime<Utc>, now: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        let step = Duration::from_secs(self.seconds().unsigned_abs());
        let newest_first = std::iter::successors(Some(self.last_tick(now)), |tick| Some(*tick - step));
        let mut ticks: Vec<DateTime<Utc>> = newest_first.take_while(|tick| *tick > last).take(most).collect();
        ticks.reverse();
        ticks
    }
}

impl fmt::Display for Every {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "every {} s", self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn ticks_are_aligned_to_the_epoch() {
        for (seconds, now, last, next) in [
            (60, "2026-01-15T10:00:30Z", "2026-01-15T10:00:00Z", "2026-01-15T10:01:00Z"),
            (60, "2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z", "2026-01-15T10:01:00Z"),
            (60, "2026-01-15T10:00:59.9Z", "2026-01-15T10:00:00Z", "2026-01-15T10:01:00Z"),
            (45, "2026-01-15T00:01:00Z", "2026-01-15T00:00:45Z", "2026-01-15T00:01:30Z"),
            (300, "2026-01-15T23:59:59Z", "2026-01-15T23:55:00Z", "2026-01-16T00:00:00Z"),
        ] {
            let every = Every(Duration::from_secs(seconds));
            assert_eq!((every.last_tick(at(now)), every.next_tick(at(now))), (at(last), at(next)), "{seconds} {now}");
        }
    }

    #[test]
    fn missed_ticks_are_listed_up_to_a_maximum() {
        let every = Every(Duration::from_mins(1));
        for (last, now, expected) in [
            ("2026-01-15T10:00:00Z", "2026-01-15T10:00:59Z", vec![]),
            ("2026-01-15T10:00:00Z", "2026-01-15T10:01:00Z", vec!["2026-01-15T10:01:00Z"]),
            ("2026-01-15T10:00:00Z", "2026-01-15T10:02:30Z", vec!["2026-01-15T10:01:00Z", "2026-01-15T10:02:00Z"]),
            // Three were missed, the newest two are returned.
            ("2026-01-15T10:00:00Z", "2026-01-15T10:03:30Z", vec!["2026-01-15T10:02:00Z", "2026-01-15T10:03:00Z"]),
            // The clock was set back.
            ("2026-01-15T10:05:00Z", "2026-01-15T10:03:30Z", vec![]),
        ] {
            let expected: Vec<DateTime<Utc>> = expected.into_iter().map(at).collect();
            assert_eq!(every.ticks_since(at(last), at(now), 2), expected, "{last} {now}");
        }
    }
}
