//! The progress of a command, on standard error: a bar on a terminal, plain lines otherwise.
//!
//! Log lines and bars share the terminal, so log lines are written while the bars are hidden ([`beside_bars`]). Plain lines are
//! rare, because they end up in logs of hosts and of CI.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Draws to standard error.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
static HAS_BARS: LazyLock<bool> = LazyLock::new(|| std::io::stderr().is_terminal());

/// How often a plain line is printed, unless what the command does changes.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
const TICK_INTERVAL: Duration = Duration::from_millis(120);

/// Whether standard error shows bars.
#[must_use]
pub fn has_bars() -> bool {
    *HAS_BARS
}

/// Runs `write` while no bar is on the terminal.
pub fn beside_bars<T>(write: impl FnOnce() -> T) -> T {
    if has_bars() { BARS.suspend(write) } else { write() }
}

/// One activity. Its bar disappears when it is dropped.
pub struct Progress {
    name: Cow<'static, str>,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { last: Option<Line> },
}

struct Line {
    step: String,
    text: String,
    printed_at: Instant,
}

impl Progress {
    pub fn start(name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        let shown = if has_bars() {
            let bar = BARS.add(ProgressBar::no_length().with_prefix(name.clone()));
            bar.enable_steady_tick(TICK_INTERVAL);
            Shown::Bar(bar)
        } else {
            Shown::Lines { last: None }
        };
        Self { name, shown }
    }

    /// `total` is `None` while it is unknown; `step` is what is done now.
    pub fn set(&mut self, done: u64, total: Option<u64>, step: &str) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_style(style(total.is_some(), done));
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_position(done);
                bar.set_message(step.to_owned());
            }
            Shown::Lines { last } => {
                let text = line(&self.name, done, total, step);
                if is_due(last.as_ref(), step, &text) {
                    // Standard error may be closed; that must not end the command.
                    let _written = writeln!(std::io::stderr().lock(), "{text}");
                    *last = Some(Line { step: step.to_owned(), text, printed_at: Instant::now() });
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// Without a total, a spinner, and how much is done.
fn style(has_total: bool, done: u64) -> ProgressStyle {
    let template = match (has_total, done) {
        (true, _) => "{prefix} [{bar:30}] {human_pos} of {human_len}  {msg}",
        (false, 0) => "{prefix} {spinner}  {msg}",
        (false, _) => "{prefix} {spinner} {human_pos}  {msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

fn line(name: &str, done: u64, total: Option<u64>, step: &str) -> String {
    match (done, total) {
        (done, Some(total)) => format!("{name}: {done} of {total}, {step}"),
        (0, None) => format!("{name}: {step}"),
        (done, None) => format!("{name}: {done}, {step}"),
    }
}

/// A line is printed when the step changes, and otherwise now and then if it says something new.
fn is_due(last: Option<&Line>, step: &str, text: &str) -> bool {
    last.is_none_or(|last| last.step != step || (last.text != text && last.printed_at.elapsed() >= LINE_INTERVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_is_known() {
        for (done, total, expected) in [
            (3, Some(10), "sync-vima: 3 of 10, running"),
            (0, Some(10), "sync-vima: 0 of 10, running"),
            (0, None, "sync-vima: running"),
            (7, None, "sync-vima: 7, running"),
        ] {
            assert_eq!(line("sync-vima", done, total, "running"), expected);
        }
    }

    #[test]
    fn lines_are_rare() {
        let last = |seconds| Line {
            step: "running".to_owned(),
            text: "a".to_owned(),
            printed_at: Instant::now().checked_sub(Duration::from_secs(seconds)).expect("a machine that runs longer"),
        };
        for (last, step, text, expected) in [
            (None, "running", "a", true),
            (Some(last(0)), "running", "b", false),
            (Some(last(0)), "succeeded", "b", true),
            (Some(last(6)), "running", "b", true),
            (Some(last(6)), "running", "a", false),
        ] {
            assert_eq!(is_due(last.as_ref(), step, text), expected, "{step} {text}");
        }
    }
}
