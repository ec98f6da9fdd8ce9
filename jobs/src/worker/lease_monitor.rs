//! Decides when an expired lease means a dead worker: when this process has observed the jobs table for a whole lease
//! without a gap.
//!
//! While PostgreSQL is unavailable, no worker can renew a lease, and afterwards all leases have expired: dead and living
//! workers look the same until every living one has had the time to renew. A process that has only just started to observe
//! cannot distinguish them either. Nor can one whose own writes fail: a full disk or a read-only server answers this process,
//! but no worker can renew.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub struct LeaseMonitor {
    lease: Duration,
    /// The start of the observation without a gap, and the last time that the jobs table answered.
    observed: Option<(Instant, Instant)>,
}

impl LeaseMonitor {
    #[must_use]
    pub fn new(lease: Duration) -> Self {
        Self { lease, observed: None }
    }

    /// Notes that the jobs table answered at `now`, and returns whether an expired lease means a dead worker.
    pub fn observe(&mut self, now: Instant) -> bool {
        let since = match self.observed {
            Some((since, last)) if now.duration_since(last) < self.lease / 2 => since,
            _ => now,
        };
        self.observed = Some((since, now));
        now.duration_since(since) >= self.lease
    }

    /// Notes that the jobs table did not answer, or refused a write: the observation starts again.
    pub fn interrupt(&mut self) {
        self.observed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expired_lease_means_death_only_after_a_lease_of_observation() {
        let start = Instant::now();
        for (seconds, expected) in [
            (vec![0], false),
            (vec![0, 2, 4, 6, 8], false),
            (vec![0, 2, 4, 6, 8, 10], true),
            // PostgreSQL was unavailable from the 4th to the 60th second.
            (vec![0, 2, 4, 60], false),
            (vec![0, 2, 4, 60, 62, 64, 66, 68], false),
            (vec![0, 2, 4, 60, 62, 64, 66, 68, 70], true),
            // A gap of half a lease, in which a worker may not have been able to renew.
            (vec![0, 2, 4, 6, 8, 10, 15], false),
        ] {
            let mut monitor = LeaseMonitor::new(Duration::from_secs(10));
            let observed: Vec<bool> =
                seconds.iter().map(|second| monitor.observe(start + Duration::from_secs(*second))).collect();
            assert_eq!(observed.last(), Some(&expected), "{seconds:?}");
        }
    }

    #[test]
    fn observation_starts_again_after_a_refused_write() {
        let (start, mut monitor) = (Instant::now(), LeaseMonitor::new(Duration::from_secs(10)));
        let observe = |monitor: &mut LeaseMonitor, seconds| monitor.observe(start + Duration::from_secs(seconds));
        let before: Vec<bool> = [0, 4, 8, 10].map(|seconds| observe(&mut monitor, seconds)).into();
        assert_eq!(before, [false, false, false, true]);
        monitor.interrupt();
        let after: Vec<bool> = [12, 16, 20, 22].map(|seconds| observe(&mut monitor, seconds)).into();
        assert_eq!(after, [false, false, false, true]);
    }
}
