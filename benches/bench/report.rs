//! Prints measurements next to their targets.

use std::time::Duration;

/// The limit that a measurement must meet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// Only for comparison.
    None,
}

impl Target {
    fn verdict(self, measured: f64) -> String {
        let (is_met, limit) = match self {
            Self::AtMost(most) => (measured <= most, format!("at most {most}")),
            Self::AtLeast(least) => (measured >= least, format!("at least {least}")),
            Self::None => return String::new(),
        };
        format!("{limit}: {}", if is_met { "met" } else { "MISSED" })
    }
}

/// Prints one measurement in a line of its own.
pub(crate) fn print(name: &str, measured: f64, unit: &str, target: Target) {
    println!("  {name:<58} {measured:>10.2} {unit:<14} {}", target.verdict(measured));
}

/// Measured durations, sorted.
#[derive(Debug, Clone)]
pub(crate) struct Durations(Vec<Duration>);

impl Durations {
    /// `durations` must not be empty.
    pub(crate) fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort();
        Self(durations)
    }

    /// A percentile, in seconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let index = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0[index].as_secs_f64()
    }

    /// A percentile, in milliseconds.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        self.percentile(percent) * 1_000.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn per_second(count: i64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// A count as a measurement.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn count(count: i64) -> f64 {
    count as f64
}
