//! How many requests a client may send: a bucket that drains at a constant rate (GCRA).
//!
//! The state of a bucket is one number, the time until it is empty. So the shared state of all processes is one key in Redis
//! that expires by itself. Rejected: counters per minute, which allow twice the limit around the turn of a minute.

use std::time::Duration;

/// How long a full bucket takes to drain.
pub const WINDOW: Duration = Duration::from_mins(1);
const WINDOW_MICROS: u64 = 60_000_000;

/// The most requests at once, and how many more are allowed in each [`WINDOW`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota(u32);

/// A bucket after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub quota: Quota,
    pub allowed: bool,
    /// The time until the bucket is empty.
    backlog_micros: u64,
}

impl Quota {
    /// `None` means no limit, which is written as 0.
    #[must_use]
    pub fn per_minute(requests: u32) -> Option<Self> {
        (requests > 0).then_some(Self(requests))
    }

    #[must_use]
    pub fn requests(self) -> u32 {
        self.0
    }

    /// How long the bucket takes to drain one request.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_micros(WINDOW_MICROS / u64::from(self.0))
    }

    /// Adds a request to a bucket that would be empty after `backlog`, if there is room for it.
    #[must_use]
    pub fn take(self, backlog: Duration) -> Standing {
        let after = self.standing(true, backlog.saturating_add(self.interval()));
        if after.backlog() <= WINDOW && backlog < WINDOW { after } else { self.standing(false, backlog) }
    }

    /// The standing that another process has computed. A value beyond what is possible is bounded.
    #[must_use]
    pub fn standing(self, allowed: bool, backlog: Duration) -> Standing {
        let bounded = backlog.min(WINDOW + self.interval());
        Standing { quota: self, allowed, backlog_micros: u64::try_from(bounded.as_micros()).unwrap_or(WINDOW_MICROS) }
    }
}

impl Standing {
    #[must_use]
    pub fn backlog(self) -> Duration {
        Duration::from_micros(self.backlog_micros)
    }

    /// How many requests are allowed at once now.
    #[must_use]
    pub fn remaining(self) -> u64 {
        WINDOW_MICROS.saturating_sub(self.backlog_micros)
            / u64::try_from(self.quota.interval().as_micros()).unwrap_or(1).max(1)
    }

    /// Seconds until the whole quota is available again.
    #[must_use]
    pub fn reset_seconds(self) -> u64 {
        self.backlog_micros.div_ceil(1_000_000)
    }

    /// Seconds until the next request is allowed, at least one.
    #[must_use]
    pub fn retry_after_seconds(self) -> u64 {
        let wait = (self.backlog() + self.quota.interval()).saturating_sub(WINDOW);
        u64::try_from(wait.as_micros()).unwrap_or(WINDOW_MICROS).div_ceil(1_000_000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_allowed_and_then_the_rate() {
        let quota = Quota::per_minute(6).expect("a limit");
        let mut backlog = Duration::ZERO;
        for remaining in (0..6).rev() {
            let standing = quota.take(backlog);
            assert_eq!((standing.allowed, standing.remaining()), (true, remaining));
            backlog = standing.backlog();
        }
        let refused = quota.take(backlog);
        assert_eq!((refused.allowed, refused.retry_after_seconds(), refused.reset_seconds()), (false, 10, 60));
        assert_eq!(refused.backlog(), backlog, "a refused request costs nothing");
        let later = quota.take(backlog.saturating_sub(Duration::from_secs(10)));
        assert_eq!((later.allowed, later.remaining()), (true, 0));
    }

    #[test]
    fn every_quota_allows_exactly_its_number() {
        for requests in [1, 7, 59, 600, 1_201, 100_000] {
            let quota = Quota::per_minute(requests).expect("a limit");
            let mut backlog = Duration::ZERO;
            let mut allowed = 0;
            while allowed <= requests {
                let standing = quota.take(backlog);
                if !standing.allowed {
                    break;
                }
                (allowed, backlog) = (allowed + 1, standing.backlog());
            }
            assert_eq!(allowed, requests);
        }
    }

    #[test]
    fn impossible_standings_are_bounded() {
        let quota = Quota::per_minute(60).expect("a limit");
        let forged = quota.standing(false, Duration::from_hours(100_000));
        assert!(forged.retry_after_seconds() <= 61 && forged.reset_seconds() <= 61, "{forged:?}");
        assert_eq!(Quota::per_minute(0), None);
    }
}
