//! How a figure is printed: beside what it must be.

use std::time::Duration;

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// This, or less.
    AtMost(f64),
    /// This, or more.
    AtLeast(f64),
    /// There is none: it stands there to be compared with.
    None,
}

impl Target {
    fn verdict(self, measured: f64) -> String {
        let (holds, words) = match self {
            Self::AtMost(most) => (measured <= most, format!("at most {most}")),
            Self::AtLeast(least) => (measured >= least, format!("at least {least}")),
            Self::None => return String::new(),
        };
        format!("{words}: {}", if holds { "holds" } else { "MISSED" })
    }
}

/// Prints a figure in a line of its own.
pub(crate) fn print(what: &str, measured: f64, unit: &str, target: Target) {
    println!("  {what:<58} {measured:>10.2} {unit:<14} {}", target.verdict(measured));
}

/// Waits, in order.
#[derive(Debug, Clone)]
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    /// Of these, of which there must be one.
    pub(crate) fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort();
        Self(waits)
    }

    /// The wait that so many of a hundred do not exceed, in seconds.
    pub(crate) fn percentile(&self, of_hundred: usize) -> f64 {
        let place = (self.0.len() * of_hundred).div_ceil(100).max(1) - 1;
        self.0[place].as_secs_f64()
    }
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn rate(count: i64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn count(count: i64) -> f64 {
    count as f64
}
