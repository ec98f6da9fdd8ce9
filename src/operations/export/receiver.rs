//! How slow the receiver of a file may be.
//!
//! An export occupies a connection, and its snapshot keeps PostgreSQL from removing dead rows. A few receivers that accept a
//! byte now and then would block all exports of a process for days. So a receiver must accept some bytes per second, on
//! average over the time that the export has waited for it, and the whole file within a maximum time.

use std::time::Duration;

use tokio::time::Instant;

/// How long an export waits for its receiver before the rate counts.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverLimits {
    /// How long it may accept nothing.
    pub stall: Duration,
    /// The least bytes per second.
    pub min_rate: u64,
    /// How long the file may be sent.
    pub max_duration: Duration,
}

impl ReceiverLimits {
    pub const DEFAULT: Self =
        Self { stall: Duration::from_mins(1), min_rate: 32 * 1024, max_duration: Duration::from_mins(30) };

    /// For files that a job stores: the time limit is that of the job.
    pub const OF_JOBS: Self =
        Self { stall: Duration::from_mins(1), min_rate: 0, max_duration: Duration::from_hours(24) };
}

/// How a receiver violated its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooSlow {
    #[error("the receiver accepted no data for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("the receiver accepted less than {0} bytes per second")]
    Rate(u64),
    #[error("the file was not complete after {} s", .0.as_secs())]
    Duration(Duration),
}

/// The progress of one receiver.
#[derive(Debug)]
pub struct Receiver {
    limits: ReceiverLimits,
    started: Instant,
    /// How long the export has waited for it.
    waited: Duration,
    accepted: u64,
}

impl Receiver {
    #[must_use]
    pub fn new(limits: ReceiverLimits) -> Self {
        Self { limits, started: Instant::now(), waited: Duration::ZERO, accepted: 0 }
    }

    /// Waits until the receiver has accepted `bytes` bytes, which `sending` sends.
    pub async fn accept<T>(&mut self, bytes: usize, sending: impl Future<Output = T>) -> Result<T, TooSlow> {
        let began = Instant::now();
        let (limit, error) = self.remaining(began);
        let sent = tokio::time::timeout(limit, sending).await.map_err(|_| error)?;
        self.note(bytes as u64, began.elapsed());
        Ok(sent)
    }

    fn note(&mut self, bytes: u64, waited: Duration) {
        self.waited += waited;
        self.accepted += bytes;
    }

    /// How long the receiver may take for the next bytes, and the error if it takes longer.
    fn remaining(&self, now: Instant) -> (Duration, TooSlow) {
        let ReceiverLimits { stall, min_rate, max_duration } = self.limits;
        let stalled = (stall, TooSlow::Stalled(stall));
        let late = (max_duration.saturating_sub(now - self.started), TooSlow::Duration(max_duration));
        let slow = self.accepted.checked_mul(1_000).and_then(|bytes| bytes.checked_div(min_rate)).map(|millis| {
            let allowed = Duration::from_millis(millis).max(GRACE);
            (allowed.saturating_sub(self.waited), TooSlow::Rate(min_rate))
        });
        let limits = [Some(stalled), Some(late), slow].into_iter().flatten();
        limits.min_by_key(|(limit, _)| *limit).unwrap_or((stall, TooSlow::Stalled(stall)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time until the next bytes must be accepted, and the error after it, `at` seconds after the start, if `bytes` bytes
    /// were accepted in `waited` seconds of waiting.
    fn remaining(bytes: u64, waited: u64, at: u64) -> (u64, String) {
        let limits = ReceiverLimits { min_rate: 1_000, ..ReceiverLimits::DEFAULT };
        let mut receiver = Receiver::new(limits);
        receiver.note(bytes, Duration::from_secs(waited));
        let (limit, error) = receiver.remaining(receiver.started + Duration::from_secs(at));
        (limit.as_secs(), error.to_string())
    }

    #[test]
    fn receiver_must_accept_enough_bytes_and_the_file_ends_in_time() {
        for (bytes, waited, at, limit, error) in [
            (0, 0, 0, 10, "less than 1000 bytes per second"),
            (100, 9, 9, 1, "less than 1000 bytes per second"),
            (15_000, 14, 14, 1, "less than 1000 bytes per second"),
            // What it accepted fast before counts, but it may not stall.
            (10_000_000, 0, 0, 60, "no data for 60 s"),
            // The time that the database takes is not the receiver's.
            (10, 0, 1_000, 10, "less than 1000 bytes per second"),
            (10_000_000, 1_500, 1_795, 5, "not complete after 1800 s"),
            (10_000_000, 1_500, 1_900, 0, "not complete after 1800 s"),
        ] {
            let (found, message) = remaining(bytes, waited, at);
            assert_eq!((found, message.contains(error)), (limit, true), "{bytes} {waited} {at}: {message}");
        }
    }

    #[tokio::test]
    async fn slow_receiver_is_an_error() {
        let limits = ReceiverLimits { max_duration: Duration::from_millis(10), ..ReceiverLimits::DEFAULT };
        let mut receiver = Receiver::new(limits);
        receiver.accept(1, async {}).await.expect("accepted at once");
        let slow = receiver.accept(1, std::future::pending::<()>()).await;
        assert!(matches!(slow, Err(TooSlow::Duration(_))), "{slow:?}");
    }
}
