//! How the queues were, minute by minute.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::query::QueueName;
use super::queues::QueueDepth;
use crate::db::jobs::queue_minutes::{self, FinishedJobs, QueueBucket};
use crate::domain::job::{JobKind, SYNC_VIMA};
use crate::domain::string_enum::string_enum;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::schema::{Time, named_enum};
use crate::web::state::State;

/// The period if none is given.
const DEFAULT_PERIOD: TimeDelta = TimeDelta::hours(1);
/// How many buckets a response has, of all queues together.
const MAX_BUCKETS: i64 = 10_000;

string_enum! {
    /// The length of a bucket.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    enum HistoryStep {
        #[default]
        Minute = "minute",
        FiveMinutes = "5min",
        QuarterHour = "15min",
        Hour = "hour",
    }
}

impl HistoryStep {
    fn length(self) -> Duration {
        Duration::from_mins(match self {
            Self::Minute => 1,
            Self::FiveMinutes => 5,
            Self::QuarterHour => 15,
            Self::Hour => 60,
        })
    }
}

request_fields! {
    /// Which history is returned.
    struct QueueHistoryQuery {
        /// Filter by queue; default: every queue.
        queue: Vec<QueueName>,
        /// The earliest time; default: an hour before `until`. The history goes back 72 hours.
        from: Option<Time>,
        /// The time before which buckets start; default: now.
        until: Option<Time>,
        /// The length of a bucket; default `minute`. A response has at most 10,000 buckets.
        granularity: Option<HistoryStep>,
    }
    check: QueueHistoryQuery::check
}

impl QueueHistoryQuery {
    fn check(&self, fields: &mut Fields) {
        if let (Some(Time(from)), Some(Time(until))) = (self.from, self.until)
            && from > until
        {
            fields.error("from", "is after until: swap them");
        }
    }

    fn period(&self, now: DateTime<Utc>) -> Result<HistoryPeriod, Problem> {
        let step = self.granularity.unwrap_or_default();
        let until = self.until.map_or(now, |Time(until)| until);
        let from = self.from.map_or(until - DEFAULT_PERIOD, |Time(from)| from);
        let period = HistoryPeriod { from: floor(from, step), until, step };
        let queues = if self.queue.is_empty() { JobKind::queues().len() } else { self.queue.len() };
        let buckets = period.buckets().saturating_mul(i64::try_from(queues).unwrap_or(i64::MAX));
        if buckets > MAX_BUCKETS {
            let message = format!(
                "gives {buckets} buckets, at most {MAX_BUCKETS} are possible: choose longer ones, a later from, or fewer queues"
            );
            return Err(Problem::field("granularity", message));
        }
        Ok(period)
    }
}

/// From the start of a bucket to before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HistoryPeriod {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    step: HistoryStep,
}

impl HistoryPeriod {
    fn step_seconds(&self) -> i64 {
        i64::try_from(self.step.length().as_secs()).unwrap_or(i64::MAX)
    }

    fn buckets(&self) -> i64 {
        let seconds = (self.until - self.from).num_seconds().max(0);
        seconds / self.step_seconds() + i64::from(seconds % self.step_seconds() > 0)
    }

    fn starts(self) -> impl Iterator<Item = DateTime<Utc>> {
        (0..self.buckets()).map(move |bucket| self.from + TimeDelta::seconds(bucket * self.step_seconds()))
    }
}

/// The start of the bucket that contains `time`.
fn floor(time: DateTime<Utc>, step: HistoryStep) -> DateTime<Utc> {
    let length = i64::try_from(step.length().as_secs()).unwrap_or(i64::MAX);
    let seconds = time.timestamp().div_euclid(length) * length;
    DateTime::from_timestamp(seconds, 0).unwrap_or(time)
}

/// A queue in a bucket.
#[derive(Debug, Clone, PartialEq, Object)]
struct QueuePoint {
    /// The start of the bucket.
    timestamp: Time,
    /// Unfinished jobs by state, counted once a minute; in a longer bucket the largest number of each state. Null if nothing was
    /// recorded, because no worker and no scheduler was running.
    depth: Option<QueueDepth>,
    /// Number of jobs that succeeded or failed. Null if that is not known: nothing was running, or the minute is not over.
    finished: Option<u64>,
    /// Number of jobs that failed; null as `finished` is.
    failed: Option<u64>,
    /// How long the last attempts of these jobs took together, in seconds; null as `finished` is.
    run_seconds: Option<f64>,
    /// The mean of these attempts, in seconds; null if there was none.
    mean_run_seconds: Option<f64>,
    /// The longest of these attempts, in seconds; null if there was none.
    max_run_seconds: Option<f64>,
}

impl QueuePoint {
    fn new(start: DateTime<Utc>, bucket: Option<&QueueBucket>) -> Self {
        let jobs = bucket.and_then(|bucket| bucket.finished);
        Self {
            timestamp: Time(start),
            depth: bucket.and_then(|bucket| bucket.depth).map(QueueDepth::from),
            finished: jobs.map(|jobs| jobs.finished),
            failed: jobs.map(|jobs| jobs.failed),
            run_seconds: jobs.map(|jobs| jobs.run_time.as_secs_f64()),
            mean_run_seconds: jobs.and_then(mean).map(|mean| mean.as_secs_f64()),
            max_run_seconds: jobs.and_then(|jobs| jobs.longest_run).map(|longest| longest.as_secs_f64()),
        }
    }
}

fn mean(jobs: FinishedJobs) -> Option<Duration> {
    let finished = u32::try_from(jobs.finished).unwrap_or(u32::MAX);
    jobs.run_time.checked_div(finished)
}

/// A queue in all buckets.
#[derive(Debug, Clone, Object)]
struct QueueSeries {
    /// The name of the queue.
    name: String,
    /// The buckets, the earliest first.
    data: Vec<QueuePoint>,
}

/// The history of the queues.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct QueueHistory {
    /// The start of the first bucket.
    from: Time,
    /// The time before which the last bucket starts.
    until: Time,
    /// The length of a bucket.
    granularity: HistoryStep,
    /// The queues, sorted by name.
    queues: Vec<QueueSeries>,
}

impl QueueHistory {
    /// With a series for each of `queues`, and for all others that were recorded.
    fn new(period: HistoryPeriod, queues: &[&str], buckets: &[QueueBucket]) -> Self {
        let mut names: Vec<&str> = queues.iter().copied().chain(buckets.iter().map(|bucket| &*bucket.queue)).collect();
        names.sort_unstable();
        names.dedup();
        let series = names.into_iter().map(|name| {
            let mut recorded = buckets.iter().filter(|bucket| bucket.queue == name).peekable();
            let data =
                period.starts().map(|start| QueuePoint::new(start, recorded.next_if(|bucket| bucket.start == start)));
            QueueSeries { name: name.to_owned(), data: data.collect() }
        });
        Self { from: Time(period.from), until: Time(period.until), granularity: period.step, queues: series.collect() }
    }
}

impl Example for QueueHistory {
    fn example() -> Self {
        let period = HistoryPeriod {
            from: EXAMPLE_TIME,
            until: EXAMPLE_TIME + TimeDelta::minutes(1),
            step: HistoryStep::Minute,
        };
        let depth = crate::db::jobs::queues::QueueDepth { queued: 2, scheduled: 1, running: 3, retrying: 1 };
        let bucket = QueueBucket {
            queue: SYNC_VIMA.queue.to_owned(),
            start: period.from,
            depth: Some(depth),
            finished: Some(FinishedJobs {
                finished: 6,
                failed: 1,
                run_time: Duration::from_millis(9_300),
                longest_run: Some(Duration::from_millis(4_120)),
            }),
        };
        Self::new(period, &[], &[bucket])
    }
}

pub(in crate::web) struct QueueHistoryApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl QueueHistoryApi {
    /// Get queue history
    ///
    /// Per queue and minute of the last 72 hours: unfinished jobs, finished and failed jobs, and their run time. What is not known,
    /// because nothing was running, is null and not zero.
    #[oai(path = "/queues/history", method = "get", operation_id = "getQueueHistory")]
    async fn history(
        &self,
        state: Data<&Arc<State>>,
        query: Query<QueueHistoryQuery>,
    ) -> Result<Json<QueueHistory>, Fails> {
        let Query(query) = query;
        let period = query.period(state.clock.now())?;
        let queues: Vec<&str> = query.queue.into_iter().map(QueueName::as_str).collect();
        let HistoryPeriod { from, until, step } = period;
        let history = queue_minutes::QueueHistory { from, until, step: step.length(), queues: queues.clone() };
        let buckets = queue_minutes::list(&state.pool, &history).await?;
        let listed = if queues.is_empty() { JobKind::queues().into_iter().collect() } else { queues };
        Ok(Json(QueueHistory::new(period, &listed, &buckets)))
    }
}

named_enum!(HistoryStep, "QueueHistoryGranularity", HistoryStep::ALL, "The length of a bucket of the history.");

#[cfg(test)]
mod tests;
