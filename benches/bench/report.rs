//! Prints measurements next to their targets, and records them for `benches/results.json`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use psp_bench_report::results::{self, Entry};

/// The limit that a measurement must meet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// Only for comparison.
    None,
}

impl Target {
    fn limit(self) -> Option<results::Target> {
        match self {
            Self::AtMost(most) => Some(results::Target::AtMost(most)),
            Self::AtLeast(least) => Some(results::Target::AtLeast(least)),
            Self::None => None,
        }
    }

    fn verdict(self, measured: f64) -> String {
        let limit = match self {
            Self::AtMost(most) => format!("at most {most}"),
            Self::AtLeast(least) => format!("at least {least}"),
            Self::None => return String::new(),
        };
        let is_met = self.limit().is_some_and(|limit| limit.is_met(measured));
        format!("{limit}: {}", if is_met { "met" } else { "MISSED" })
    }
}

/// What the running measurement has recorded so far.
static RECORDED: Mutex<Recorded> = Mutex::new(Recorded { group: String::new(), entries: vec![] });

struct Recorded {
    group: String,
    entries: Vec<Entry>,
}

/// Returns what was recorded since the last call.
pub(crate) fn take() -> Vec<Entry> {
    let mut recorded = RECORDED.lock().unwrap_or_else(PoisonError::into_inner);
    recorded.group.clear();
    std::mem::take(&mut recorded.entries)
}

/// Prints what the next results have in common, which becomes the heading of their table in docs/performance.md.
pub(crate) fn heading(text: &str) {
    println!("{text}:");
    text.clone_into(&mut RECORDED.lock().unwrap_or_else(PoisonError::into_inner).group);
}

/// Prints one measurement in a line of its own.
pub(crate) fn print(name: &str, measured: f64, unit: &str, target: Target) {
    print_line(name, measured, unit, target);
    record(name, None, measured, unit, target);
}

/// The same for a measurement of a table with a row per `name`.
pub(crate) fn print_cell(name: &str, column: &str, measured: f64, unit: &str, target: Target) {
    print_line(&format!("{name}, {column}"), measured, unit, target);
    record(name, Some(column), measured, unit, target);
}

/// Records a measurement of a table that is printed in another way.
pub(crate) fn record_cell(name: &str, column: &str, measured: f64, unit: &str, target: Target) {
    record(name, Some(column), measured, unit, target);
}

fn print_line(name: &str, measured: f64, unit: &str, target: Target) {
    println!("  {name:<58} {measured:>10.2} {unit:<14} {}", target.verdict(measured));
}

fn record(name: &str, column: Option<&str>, measured: f64, unit: &str, target: Target) {
    let mut recorded = RECORDED.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = Entry::new(&recorded.group, name, measured, unit, target.limit());
    recorded.entries.push(match column {
        Some(column) => entry.in_column(column),
        None => entry,
    });
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
