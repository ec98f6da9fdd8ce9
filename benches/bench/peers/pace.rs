//! The pace of enqueuing, and the rate at which jobs finish.

use std::time::{Duration, Instant};

use crate::report;

/// A slow queue is measured for so long.
const LONGEST: Duration = Duration::from_mins(1);
/// Each count costs the server time, so there are only five per second.
const BETWEEN_COUNTS: Duration = Duration::from_millis(200);

/// Calls `act` `count` times, at `rate` per second.
pub(super) async fn spread(count: usize, rate: f64, mut act: impl FnMut()) {
    let started = Instant::now();
    let mut done = 0;
    while done < count {
        let due = (count_in(started.elapsed(), rate) + 1).min(count);
        (done..due).for_each(|_| act());
        done = due;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How many come in that time at that rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are positive, and far below 2^52")]
pub(super) fn count_in(time: Duration, rate: f64) -> usize {
    (time.as_secs_f64() * rate) as usize
}

/// Jobs per second, by counts of unfinished jobs. Workers start while the first tenth runs, which does not count.
pub(super) async fn finishing_rate(jobs: usize, unfinished: impl AsyncFn() -> i64) -> f64 {
    let jobs = i64::try_from(jobs).expect("a small number");
    let started = Instant::now();
    let mut first: Option<(Instant, i64)> = None;
    let mut last = (started, 0);
    loop {
        let finished = jobs - unfinished().await;
        let sample = (Instant::now(), finished);
        if finished >= jobs {
            // The last job finished between two counts: only counts before that say when.
            return match first {
                Some(first) if last.1 > first.1 => rate_between(first, last),
                _ => rate_between((started, 0), sample),
            };
        }
        if finished >= jobs / 10 {
            first.get_or_insert(sample);
        }
        last = sample;
        let from = first.unwrap_or((started, 0));
        if from.0.elapsed() >= LONGEST {
            return rate_between(from, last);
        }
        tokio::time::sleep(BETWEEN_COUNTS).await;
    }
}

fn rate_between(first: (Instant, i64), last: (Instant, i64)) -> f64 {
    report::per_second(last.1 - first.1, last.0 - first.0)
}
