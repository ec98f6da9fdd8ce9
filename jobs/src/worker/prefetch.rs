//! How many jobs a worker claims ahead of its free slots.
//!
//! A claim costs a statement and a commit, however many jobs it claims. A worker that only filled its free slots would spend
//! the time of short jobs waiting for the next claim. So it claims as many as its slots are expected to run in a tenth of a
//! second, by the duration of the last jobs. Long jobs are not claimed ahead: another worker could run them now.
//!
//! A fixed number was rejected: it is too small for jobs of a millisecond, and holds jobs of a minute back from idle workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a job that was claimed ahead is expected to wait for a slot.
const AHEAD: Duration = Duration::from_millis(100);
/// A job that has waited this long for a slot, because those before it were longer than expected, is handed back.
pub const MAX_WAIT: Duration = Duration::from_secs(1);

/// Estimates the duration of the next jobs from that of the last ones.
#[derive(Debug)]
pub struct Prefetch {
    slots: u32,
    /// In microseconds.
    expected: AtomicU64,
}

impl Prefetch {
    /// Expects long jobs until it has seen others.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self { slots, expected: AtomicU64::new(micros(MAX_WAIT)) }
    }

    /// Notes how long a job took, or how long one waited in vain for a slot. A long one counts at once, a short one slowly: a
    /// wrong guess in this direction costs less.
    pub fn observe(&self, duration: Duration) {
        let observed = micros(duration);
        let update = |expected: u64| Some(observed.max(expected - (expected - observed.min(expected)).div_ceil(8)));
        // Always succeeds, since there is always a new value.
        let _ = self.expected.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// How many jobs may wait for a slot.
    #[must_use]
    pub fn limit(&self) -> u32 {
        let per_slot = micros(AHEAD) / self.expected.load(Ordering::Relaxed).max(1);
        self.slots.saturating_mul(u32::try_from(per_slot).unwrap_or(u32::MAX))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_claimed_ahead_only_while_they_are_short() {
        for (millis, expected) in [
            // Unknown: none.
            (vec![], 0),
            (vec![1], 0),
            (vec![1; 100], 800),
            (vec![25; 100], 32),
            (vec![101; 100], 0),
            (vec![60_000; 100], 0),
            // A single long job among short ones ends it, and takes many short ones to be forgotten.
            ([vec![1; 100], vec![60_000]].concat(), 0),
            ([vec![1; 100], vec![60_000], vec![1; 40]].concat(), 0),
            ([vec![1; 100], vec![60_000], vec![1; 100]].concat(), 728),
        ] {
            let prefetch = Prefetch::new(8);
            for millis in &millis {
                prefetch.observe(Duration::from_millis(*millis));
            }
            assert_eq!(prefetch.limit(), expected, "after jobs of {millis:?} ms");
        }
    }
}
