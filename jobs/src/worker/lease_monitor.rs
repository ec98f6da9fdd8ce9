//! When a silent worker may be taken for dead: once this process has watched the jobs table for a whole lease without a gap.
//!
//! While PostgreSQL is away, or hangs, nobody can renew a lease, and afterwards all of them have run out together: the dead
//! and the living look the same until everybody has had the time to renew. The same holds for a process that has only just
//! begun to look. Whoever watched all the while knows the difference.

use std::time::Duration;

use tokio::time::Instant;

/// A watch over the jobs table.
#[derive(Debug)]
pub struct LeaseMonitor {
    lease: Duration,
    /// Since when it has gone on without a gap, and when the jobs table answered last.
    unbroken: Option<(Instant, Instant)>,
}

impl LeaseMonitor {
    /// A watch that has not begun, over leases of this length.
    #[must_use]
    pub fn new(lease: Duration) -> Self {
        Self { lease, unbroken: None }
    }

    /// Notes that the jobs table answered at `now`, and says whether a lease that has run out means a death.
    pub fn observe(&mut self, now: Instant) -> bool {
        let since = match self.unbroken {
            Some((since, last)) if now.duration_since(last) < self.lease / 2 => since,
            _ => now,
        };
        self.unbroken = Some((since, now));
        now.duration_since(since) >= self.lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_dead_before_a_whole_lease_was_watched() {
        let start = Instant::now();
        for (looks, last_may) in [
            (vec![0], false),
            (vec![0, 2, 4, 6, 8], false),
            (vec![0, 2, 4, 6, 8, 10], true),
            // Away from the fourth second to the sixtieth.
            (vec![0, 2, 4, 60], false),
            (vec![0, 2, 4, 60, 62, 64, 66, 68], false),
            (vec![0, 2, 4, 60, 62, 64, 66, 68, 70], true),
            // A gap of half a lease: somebody may not have been able to renew in it.
            (vec![0, 2, 4, 6, 8, 10, 15], false),
        ] {
            let mut lease_monitor = LeaseMonitor::new(Duration::from_secs(10));
            let may: Vec<bool> =
                looks.iter().map(|second| lease_monitor.observe(start + Duration::from_secs(*second))).collect();
            assert_eq!(may.last(), Some(&last_may), "{looks:?}");
        }
    }
}
