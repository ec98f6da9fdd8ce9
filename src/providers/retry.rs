//! How long one request is tried.
//!
//! Two budgets, apart: failures count against the attempts and wait with exponential backoff and full jitter (a herd of
//! workers spreads itself); being told to wait (429) is no failure and counts only against the time we are willing to
//! stand in line, so that it ends and the job goes back to the queue instead of holding a worker.

use std::time::Duration;

use super::error::ProviderError;
use super::http::HttpSettings;

/// How often a request may be told to wait: a provider that says "wait 0 s" for ever must come to an end, too.
const MOST_WAITS: u32 = 20;

/// What is left of our retry_budget with one request.
pub(super) struct RetryBudget<'a> {
    settings: &'a HttpSettings,
    failures: u32,
    waits: u32,
    waited: Duration,
}

impl<'a> RetryBudget<'a> {
    pub(super) fn new(settings: &'a HttpSettings) -> Self {
        Self { settings, failures: 0, waits: 0, waited: Duration::ZERO }
    }

    /// How long to wait before the next attempt; `None` where there is to be none.
    pub(super) fn after(&mut self, error: &ProviderError) -> Option<Duration> {
        match error {
            ProviderError::RateLimited { retry_after, .. } => self.wait(*retry_after),
            ProviderError::Unreachable { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::Failed { .. }
            | ProviderError::Unreadable { .. }
            | ProviderError::TooLarge { .. } => self.back_off(),
            ProviderError::Unauthenticated { .. }
            | ProviderError::Refused { .. }
            | ProviderError::SessionUnavailable { .. }
            | ProviderError::Misconfigured { .. } => None,
        }
    }

    fn wait(&mut self, asked: Duration) -> Option<Duration> {
        let wait = asked.min(self.settings.longest_wait);
        self.waits += 1;
        self.waited += wait;
        (self.waits <= MOST_WAITS && self.waited <= self.settings.total_wait).then_some(wait)
    }

    fn back_off(&mut self) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.settings.attempts {
            return None;
        }
        let doubled = self.settings.backoff_base.saturating_mul(2_u32.saturating_pow(self.failures - 1));
        Some(doubled.min(self.settings.backoff_cap).mul_f64(rand::random()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::upstream::Upstream;

    const PROVIDER: Upstream = Upstream::Vima;

    fn settings() -> HttpSettings {
        HttpSettings {
            attempts: 4,
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(3),
            longest_wait: Duration::from_mins(2),
            total_wait: Duration::from_mins(5),
            ..HttpSettings::default()
        }
    }

    fn limited(seconds: u64) -> ProviderError {
        ProviderError::RateLimited { provider: PROVIDER, retry_after: Duration::from_secs(seconds) }
    }

    #[test]
    fn failures_back_off_to_the_last_attempt() {
        let settings = settings();
        let mut retry_budget = RetryBudget::new(&settings);
        let error = ProviderError::Unavailable { provider: PROVIDER, status: 503 };
        for most in [1, 2, 3] {
            let wait = retry_budget.after(&error).expect("another attempt");
            assert!(wait <= Duration::from_secs(most), "{wait:?} for {most}");
        }
        assert_eq!(retry_budget.after(&error), None);
    }

    #[test]
    fn being_told_to_wait_is_no_failure_but_has_an_end() {
        let settings = settings();
        let mut retry_budget = RetryBudget::new(&settings);
        assert_eq!(retry_budget.after(&limited(7)), Some(Duration::from_secs(7)));
        assert_eq!(retry_budget.after(&limited(3600)), Some(Duration::from_mins(2)), "capped");
        assert!(retry_budget.after(&ProviderError::Unavailable { provider: PROVIDER, status: 500 }).is_some());
        assert_eq!(retry_budget.after(&limited(120)), Some(Duration::from_mins(2)));
        assert_eq!(retry_budget.after(&limited(120)), None, "300 s in all");

        let mut retry_budget = RetryBudget::new(&settings);
        let waits = std::iter::from_fn(|| retry_budget.after(&limited(0))).count();
        assert_eq!(waits, 20, "a wait of nothing ends as well");
    }

    #[test]
    fn what_no_retry_mends_is_not_tried_again() {
        let settings = settings();
        let message = String::new;
        for error in [
            ProviderError::Unauthenticated { provider: PROVIDER, message: message() },
            ProviderError::Refused { provider: PROVIDER, status: 200, message: message() },
            ProviderError::Misconfigured { provider: PROVIDER, message: message() },
            ProviderError::SessionUnavailable { provider: PROVIDER, message: message() },
        ] {
            assert_eq!(RetryBudget::new(&settings).after(&error), None, "{error}");
        }
    }
}
