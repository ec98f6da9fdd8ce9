//! Rechecks: requesting old payments again that are still open.
//!
//! There may be more of them than one run can request, so each run requests those that were not requested for the longest
//! time. One that the provider does not know any more is requested at increasing intervals, until it is too old.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use super::backoff::Backoff;

/// Older payments are left as they are.
pub const MAX_AGE: Duration = Duration::from_hours(30 * 24);
/// How many pay-ins a run requests, one request each.
pub const PAYINS_PER_RUN: u32 = 50;
/// How many days of pay-outs a run reads again: a single pay-out cannot be requested.
pub const PAYOUT_DAYS_PER_RUN: u32 = 2;

const INTERVALS: Backoff = Backoff { base: Duration::from_mins(15), cap: Duration::from_hours(24) };

/// What is requested again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecheckTarget {
    /// A pay-in, by its id.
    Payin(String),
    /// All pay-outs of a day (UTC).
    PayoutsOf(NaiveDate),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recheck {
    pub target: RecheckTarget,
    /// How often in a row it failed before.
    pub failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecheckOutcome {
    Read,
    /// The provider does not know it any more.
    NotFound,
    /// The request failed for another reason.
    Failed,
}

impl Recheck {
    /// The same after a request.
    #[must_use]
    pub fn after(self, outcome: RecheckOutcome) -> Self {
        let failures = if outcome == RecheckOutcome::Read { 0 } else { self.failures.saturating_add(1) };
        Self { failures, ..self }
    }

    /// When it is due again, after a request at `now`. What was read is due at once, but after what waits for longer.
    #[must_use]
    pub fn next_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + INTERVALS.longest_delay(self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_increase_until_the_payment_is_read() {
        let now = DateTime::UNIX_EPOCH;
        let mut recheck = Recheck { target: RecheckTarget::Payin("7".to_owned()), failures: 0 };
        let mut minutes = vec![];
        for outcome in
            [RecheckOutcome::NotFound, RecheckOutcome::Failed, RecheckOutcome::NotFound, RecheckOutcome::Read]
        {
            recheck = recheck.after(outcome);
            minutes.push((recheck.next_at(now) - now).num_minutes());
        }
        assert_eq!(minutes, [15, 30, 60, 0]);
        let old = Recheck { failures: 1000, ..recheck };
        assert_eq!((old.next_at(now) - now).num_hours(), 24);
    }
}
