//! Exponential backoff with a cap, for jobs, provider requests and reconnects alike.

use std::time::Duration;

/// Doubles with each failure, from `base` up to `cap`.
///
/// Full jitter spreads the retries of many callers better than any other scheme (AWS Architecture Blog, "Exponential
/// Backoff And Jitter").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// The delay after so many failures in a row, without jitter; zero after none.
    #[must_use]
    pub fn longest_delay(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self.base.saturating_mul(2_u32.saturating_pow(doublings)).min(self.cap),
        }
    }

    /// The same with full jitter, where `chance` is in 0..1.
    #[must_use]
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        self.longest_delay(failures).mul_f64(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_its_cap() {
        let backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(1) };
        let longest: Vec<u64> = (0..8).map(|failures| backoff.delay(failures, 1.0).as_secs()).collect();
        assert_eq!(longest, [0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.delay(u32::MAX, 0.5), Duration::from_secs(30));
        assert_eq!(backoff.delay(3, 0.0), Duration::ZERO);
    }
}
