//! `psp-jobs enqueue`: jobs by hand. Whatever cannot be meant is refused before anything is enqueued.

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::Args;
use psp_dashboard::db::jobs;
use psp_dashboard::domain::day::{day_before, day_of};
use psp_dashboard::domain::job::{JobId, JobKind, JobState, NewJob, RECONCILE, REPLAY_QUARANTINE, Trigger};
use psp_dashboard::domain::reconciliation::days::DaysAsked;
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::request_reconciliation::{ReconciliationRequest, request_reconciliation};
use serde_json::{Value, json};

use crate::job_context::JobContext;

/// Which job is to be enqueued.
#[derive(Debug, Args)]
pub(crate) struct EnqueueArguments {
    /// The kind of job.
    #[arg(index = 1)]
    kind: String,
    /// Its arguments as JSON, for example '{"mode":"full"}' for a sync. For reconcile a day, '{"date":"2026-01-15"}', or days,
    /// '{"from_date":"2026-01-01","to_date":"2026-01-15"}', which become a job each; yesterday without any.
    #[arg(index = 2)]
    args: Option<String>,
    /// Queue one more behind a live one of the same kind and arguments, rather than join it.
    #[arg(long)]
    force: bool,
    /// Wait for it to end, print what came of it, and fail if it failed.
    #[arg(long)]
    wait: bool,
}

impl EnqueueArguments {
    /// Enqueues it, if it is of one of these kinds; prints an id a line.
    pub(crate) async fn run(self, kinds: &[&'static JobKind], context: &JobContext) -> anyhow::Result<()> {
        let kind = kinds.iter().find(|known| known.name == self.kind);
        let kind = kind.ok_or_else(|| anyhow::anyhow!("there is no such kind of job"))?;
        let job_ids = if **kind == RECONCILE {
            self.enqueue_days(context).await?
        } else {
            let job = NewJob { force: self.force, ..new_job(kind, self.args.as_deref())? };
            vec![enqueue_job(&context.queue_pool, &context.redis, &job).await?.job_id]
        };
        for job_id in &job_ids {
            println!("{job_id}");
        }
        if self.wait { follow_all(context, &job_ids).await } else { Ok(()) }
    }

    async fn enqueue_days(&self, context: &JobContext) -> anyhow::Result<Vec<JobId>> {
        let JobContext { queue_pool, redis, clock, reconciliation, .. } = context;
        let now = clock.now();
        let request = ReconciliationRequest {
            days: read_days(self.args.as_deref(), now, reconciliation.zone)?,
            force: self.force,
            trigger: Trigger::Cli,
            requested_by: None,
        };
        let requested = request_reconciliation(queue_pool, redis, &request, None, now).await?;
        Ok(requested.into_iter().map(|day| day.job_id).collect())
    }
}

fn read_days(args: Option<&str>, now: DateTime<Utc>, zone: Tz) -> anyhow::Result<Vec<NaiveDate>> {
    let yesterday = DaysAsked { date: Some(day_before(now, zone)), ..DaysAsked::default() };
    let asked: DaysAsked = args.map_or(Ok(yesterday), serde_json::from_str).map_err(|error| unreadable(&error))?;
    asked.days(day_of(now, zone)).map_err(|error| anyhow::anyhow!("{} {error}", error.field()))
}

fn unreadable(error: &serde_json::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "the arguments cannot be read ({error}); for example '{{\"mode\":\"incremental\"}}' for a sync, \
         '{{\"source\":\"vima\"}}' for {}, or '{{\"date\":\"2026-01-15\"}}' for {}",
        REPLAY_QUARANTINE.name,
        RECONCILE.name
    )
}

fn new_job(kind: &'static JobKind, args: Option<&str>) -> anyhow::Result<NewJob> {
    if let Some(source) = kind.source() {
        let args: SyncArgs =
            args.map_or(Ok(SyncArgs::Incremental), serde_json::from_str).map_err(|error| unreadable(&error))?;
        if let Some((from, to)) = args.days().filter(|(from, to)| from > to) {
            bail!("from_date {from} is after to_date {to}: no day would be read");
        }
        return Ok(NewJob::sync(source, &args, Trigger::Cli));
    }
    if *kind == REPLAY_QUARANTINE {
        let replay = args.map_or(Ok(Replay::All), serde_json::from_str).map_err(|error| unreadable(&error))?;
        return Ok(NewJob::replay(replay, Trigger::Cli));
    }
    let args: Value = args.map_or(Ok(json!({})), serde_json::from_str).map_err(|error| unreadable(&error))?;
    Ok(NewJob::with_args(kind, args, Trigger::Cli))
}

/// Waits for each to end, and prints what came of it; those that failed are told together.
async fn follow_all(context: &JobContext, job_ids: &[JobId]) -> anyhow::Result<()> {
    let mut failures = vec![];
    for job_id in job_ids {
        match follow(context, *job_id).await {
            Err(error) if job_ids.len() > 1 => failures.push(format!("{job_id}: {error}")),
            other => other?,
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!(failures.join("\n")) }
}

/// Waits for a job to end, and prints what came of it.
pub(crate) async fn follow(context: &JobContext, job_id: JobId) -> anyhow::Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    loop {
        looks.tick().await;
        let Some(job) = jobs::find_summary(&context.queue_pool, job_id).await? else {
            bail!("the job {job_id} is gone: it was cleared away while it was being followed");
        };
        match job.state {
            JobState::Succeeded => {
                println!("{}", job.result.unwrap_or_default());
                return Ok(());
            }
            JobState::Failed | JobState::Cancelled => {
                bail!("the job {}: {}", job.state.as_str(), job.error.unwrap_or_default());
            }
            JobState::Queued | JobState::Scheduled | JobState::Running | JobState::Retrying => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psp_dashboard::domain::job::SYNC_VIMA;

    #[test]
    fn arguments_are_read_or_refused_before_anything_is_enqueued() {
        for (args, expected) in [
            (None, Ok(r#"{"mode":"incremental"}"#)),
            (Some(r#"{"mode":"full"}"#), Ok(r#"{"mode":"full"}"#)),
            (Some(r#"{"mode":"range","from_date":"2026-01-02","to_date":"2026-01-01"}"#), Err("after to_date")),
            (Some(r#"{"mode":"range","from_date":"2026-01-02"}"#), Err("to_date")),
            (Some(r#"{"mode":"sideways"}"#), Err("incremental")),
            (Some("{"), Err("cannot be read")),
        ] {
            match (new_job(&SYNC_VIMA, args), expected) {
                (Ok(job), Ok(expected)) => assert_eq!(job.args.to_string(), expected),
                (Err(error), Err(told)) => assert!(error.to_string().contains(told), "{error}"),
                (job, expected) => panic!("{args:?}: {job:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn days_are_read_or_refused_before_anything_is_enqueued() {
        let now = "2026-03-04T20:00:00Z".parse().expect("a time");
        for (args, expected) in [
            // It is March 5 already, in Kolkata.
            (None, Ok("2026-03-04..2026-03-04")),
            (Some(r#"{"date":"2026-03-05"}"#), Ok("2026-03-05..2026-03-05")),
            (Some(r#"{"from_date":"2026-03-01","to_date":"2026-03-05"}"#), Ok("2026-03-01..2026-03-05")),
            (Some(r#"{"date":"2026-03-06"}"#), Err("date 2026-03-06 has not begun")),
            (Some(r#"{"from_date":"2026-03-02","to_date":"2026-03-01"}"#), Err("swap them")),
            (Some(r#"{"from_date":"2025-01-01","to_date":"2026-03-01"}"#), Err("more than 92 days")),
            (Some(r#"{"date":"2026-02-30"}"#), Err("cannot be read")),
            (Some(r#"{"day":"2026-03-01"}"#), Err("unknown field `day`")),
            (Some("{}"), Err("date is required")),
        ] {
            match (read_days(args, now, Tz::Asia__Kolkata), expected) {
                (Ok(days), Ok(expected)) => assert_eq!(format!("{}..{}", days[0], days[days.len() - 1]), expected),
                (Err(error), Err(told)) => assert!(error.to_string().contains(told), "{error}"),
                (days, expected) => panic!("{args:?}: {days:?}, expected {expected:?}"),
            }
        }
    }
}
