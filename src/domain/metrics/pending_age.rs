//! How old pending payments are.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::string_enum::string_enum;
use crate::domain::time_range::TimeRange;

string_enum! {
    /// How long ago a pending payment was created.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum PendingAge {
        Under15Minutes = "under_15_minutes",
        Under1Hour = "under_1_hour",
        Under6Hours = "under_6_hours",
        Under24Hours = "under_24_hours",
        Under7Days = "under_7_days",
        Older = "7_days_or_older",
    }
}

impl PendingAge {
    /// The age up to which each but the last reaches.
    const LIMITS: [TimeDelta; 5] =
        [TimeDelta::minutes(15), TimeDelta::hours(1), TimeDelta::hours(6), TimeDelta::hours(24), TimeDelta::days(7)];

    /// The creation times at `now` that divide the ages, the oldest first.
    #[must_use]
    pub fn boundaries(now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        Self::LIMITS.into_iter().rev().map(|limit| now - limit).collect()
    }

    /// When payments of this age were created, at `now`. The youngest may have a time that is still to come.
    #[must_use]
    pub fn created(self, now: DateTime<Utc>) -> TimeRange {
        let TimeRange { from, until } = TimeRange::ALL;
        let ends: Vec<DateTime<Utc>> = std::iter::once(from).chain(Self::boundaries(now)).chain([until]).collect();
        let older = Self::ALL.len() - 1 - self as usize;
        TimeRange { from: ends[older], until: ends[older + 1] }
    }

    /// The age of a payment after so many of [`Self::boundaries`].
    #[must_use]
    pub fn from_passed(boundaries: usize) -> Self {
        Self::ALL[(Self::ALL.len() - 1).saturating_sub(boundaries)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_have_the_age_of_their_creation() {
        let now: DateTime<Utc> = "2026-01-15T10:00:00Z".parse().expect("a time");
        let boundaries = PendingAge::boundaries(now);
        for (minutes, expected) in [
            (-1, PendingAge::Under15Minutes),
            (14, PendingAge::Under15Minutes),
            (16, PendingAge::Under1Hour),
            (61, PendingAge::Under6Hours),
            (361, PendingAge::Under24Hours),
            (1_441, PendingAge::Under7Days),
            (10_081, PendingAge::Older),
        ] {
            let created_at = now - TimeDelta::minutes(minutes);
            let passed = boundaries.partition_point(|boundary| *boundary <= created_at);
            assert_eq!(PendingAge::from_passed(passed), expected, "{minutes}");
            for age in PendingAge::ALL {
                let TimeRange { from, until } = age.created(now);
                assert_eq!((from..until).contains(&created_at), age == expected, "{minutes} {age:?}");
            }
        }
    }
}
