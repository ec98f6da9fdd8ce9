//! Decides how often and for how long one request is retried.
//!
//! Two separate budgets: failures count against the attempts and wait with exponential backoff and full jitter. A 429, or a
//! 503 with `Retry-After`, is no failure: it counts only against the time that a request may spend waiting. When that is
//! used up, the job goes back to the queue instead of keeping a worker slot.

use std::time::Duration;

use super::error::ProviderError;
use crate::domain::backoff::Backoff;

/// How often one request may be asked to wait: a provider that keeps answering "wait 0 s" must not be retried forever.
const MAX_WAITS: u32 = 20;

/// The limits of the retries of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first attempt included.
    pub attempts: u32,
    /// Its cap is also the wait after a 429 without `Retry-After`.
    pub backoff: Backoff,
    /// The longest wait for one response, whatever its `Retry-After`.
    pub longest_wait: Duration,
    /// The longest wait for all such responses to one request.
    pub total_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            backoff: Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(10) },
            longest_wait: Duration::from_mins(2),
            total_wait: Duration::from_mins(5),
        }
    }
}

#[cfg(test)]
impl RetryPolicy {
    /// The default with delays of a millisecond, for tests against a server that fails.
    pub(super) fn quick() -> Self {
        Self { backoff: Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(2) }, ..Self::default() }
    }
}

/// What is left of the policy for one request.
pub(super) struct RetryBudget<'a> {
    policy: &'a RetryPolicy,
    failures: u32,
    waits: u32,
    waited: Duration,
}

impl<'a> RetryBudget<'a> {
    pub(super) fn new(policy: &'a RetryPolicy) -> Self {
        Self { policy, failures: 0, waits: 0, waited: Duration::ZERO }
    }

    /// The delay before the next attempt; `None` if there must be none.
    pub(super) fn next_delay(&mut self, error: &ProviderError) -> Option<Duration> {
        if let Some(wait) = error.requested_wait() {
            return self.wait(wait);
        }
        match error {
            ProviderError::Unreachable { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::Failed { .. }
            | ProviderError::Unreadable { .. }
            | ProviderError::TooLarge { .. } => self.back_off(),
            ProviderError::RateLimited { .. }
            | ProviderError::Unauthenticated { .. }
            | ProviderError::Refused { .. }
            | ProviderError::SessionUnavailable { .. }
            | ProviderError::Misconfigured { .. } => None,
        }
    }

    fn wait(&mut self, retry_after: Duration) -> Option<Duration> {
        let wait = retry_after.min(self.policy.longest_wait);
        self.waits += 1;
        self.waited += wait;
        (self.waits <= MAX_WAITS && self.waited <= self.policy.total_wait).then_some(wait)
    }

    fn back_off(&mut self) -> Option<Duration> {
        self.failures += 1;
        (self.failures < self.policy.attempts).then(|| self.policy.backoff.delay(self.failures, rand::random()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::upstream::Upstream;

    const PROVIDER: Upstream = Upstream::Vima;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 4,
            backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(3) },
            longest_wait: Duration::from_mins(2),
            total_wait: Duration::from_mins(5),
        }
    }

    fn limited(seconds: u64) -> ProviderError {
        ProviderError::RateLimited { provider: PROVIDER, retry_after: Duration::from_secs(seconds) }
    }

    #[test]
    fn failures_back_off_until_the_last_attempt() {
        let policy = policy();
        let mut retry_budget = RetryBudget::new(&policy);
        let error = ProviderError::Unavailable { provider: PROVIDER, status: 503, retry_after: None };
        for most in [1, 2, 3] {
            let wait = retry_budget.next_delay(&error).expect("another attempt");
            assert!(wait <= Duration::from_secs(most), "{wait:?} for {most}");
        }
        assert_eq!(retry_budget.next_delay(&error), None);
    }

    #[test]
    fn rate_limit_waits_cost_no_attempt_but_are_bounded() {
        let policy = policy();
        let mut retry_budget = RetryBudget::new(&policy);
        assert_eq!(retry_budget.next_delay(&limited(7)), Some(Duration::from_secs(7)));
        assert_eq!(retry_budget.next_delay(&limited(3600)), Some(Duration::from_mins(2)), "capped");
        assert!(
            retry_budget
                .next_delay(&ProviderError::Unavailable { provider: PROVIDER, status: 500, retry_after: None })
                .is_some()
        );
        assert_eq!(retry_budget.next_delay(&limited(120)), Some(Duration::from_mins(2)));
        assert_eq!(retry_budget.next_delay(&limited(120)), None, "300 s in total");

        let mut retry_budget = RetryBudget::new(&policy);
        let waits = std::iter::from_fn(|| retry_budget.next_delay(&limited(0))).count();
        assert_eq!(waits, 20, "waits of zero are bounded too");
    }

    #[test]
    fn unavailable_provider_that_asks_for_a_wait_costs_no_attempt() {
        let policy = policy();
        let mut retry_budget = RetryBudget::new(&policy);
        let seconds = |seconds| ProviderError::Unavailable {
            provider: PROVIDER,
            status: 503,
            retry_after: Some(Duration::from_secs(seconds)),
        };
        for _ in 0..5 {
            assert_eq!(retry_budget.next_delay(&seconds(30)), Some(Duration::from_secs(30)));
        }
        assert_eq!(retry_budget.next_delay(&seconds(1800)), Some(Duration::from_mins(2)), "capped");
        assert_eq!(retry_budget.next_delay(&seconds(31)), None, "300 s in total");
    }

    #[test]
    fn permanent_errors_are_not_retried() {
        let policy = policy();
        let message = String::new;
        for error in [
            ProviderError::Unauthenticated { provider: PROVIDER, message: message() },
            ProviderError::Refused { provider: PROVIDER, status: 200, message: message() },
            ProviderError::Misconfigured { provider: PROVIDER, message: message() },
            ProviderError::SessionUnavailable { provider: PROVIDER, message: message() },
        ] {
            assert_eq!(RetryBudget::new(&policy).next_delay(&error), None, "{error}");
        }
    }
}
