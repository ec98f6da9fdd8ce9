//! `psp-jobs enqueue`: enqueues one job. Invalid arguments are rejected before anything is enqueued.

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::Args;
use psp_dashboard::config::EnvVars;
use psp_dashboard::db::jobs;
use psp_dashboard::domain::day::{day_before, day_of};
use psp_dashboard::domain::job::{JobId, JobKind, JobState, NewJob, RECONCILE, REPLAY_QUARANTINE, Trigger};
use psp_dashboard::domain::reconciliation::days::RequestedDays;
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::operations::audit::AuditContext;
use psp_dashboard::operations::enqueue_job::enqueue_job_for;
use psp_dashboard::operations::request_reconciliation::{ReconciliationRequest, request_reconciliation};
use psp_dashboard::progress::Progress;
use serde_json::{Value, json};

use crate::handler::Registry;
use crate::job_context::JobContext;

/// The name of the command in the audit log.
const COMMAND: &str = "psp-jobs enqueue";

#[derive(Debug, Args)]
pub(crate) struct EnqueueArguments {
    /// The kind of job.
    #[arg(index = 1)]
    kind: String,
    /// Its arguments as JSON, for example '{"mode":"full"}' for a sync. For reconcile, a day: '{"date":"2026-01-15"}', or
    /// days: '{"from_date":"2026-01-01","to_date":"2026-01-15"}', one job each (default: yesterday).
    #[arg(index = 2)]
    args: Option<String>,
    /// Enqueue another job even if a live one has the same kind and arguments. It runs after that one.
    #[arg(long)]
    force: bool,
    /// Wait until the job ends, show its progress, and print its result. The exit code is 1 if it failed.
    #[arg(long)]
    wait: bool,
}

impl EnqueueArguments {
    /// Enqueues the job, or one job per day, and prints one id per line.
    pub(crate) async fn run(self, registry: Registry, context: &JobContext) -> anyhow::Result<()> {
        let kind = registry.kinds().find(|kind| kind.name == self.kind);
        let kind = kind.ok_or_else(|| anyhow::anyhow!("there is no such kind of job"))?;
        let job_ids = if *kind == RECONCILE {
            self.enqueue_days(context).await?
        } else {
            let job = NewJob { force: self.force, ..new_job(kind, self.args.as_deref())? };
            let JobContext { queue_pool, redis, clock, .. } = context;
            vec![enqueue_job_for(queue_pool, redis, &job, &audit_context(COMMAND), clock.now()).await?.job_id]
        };
        for job_id in &job_ids {
            println!("{job_id}");
        }
        if self.wait { wait_for_all(context, &job_ids).await } else { Ok(()) }
    }

    async fn enqueue_days(&self, context: &JobContext) -> anyhow::Result<Vec<JobId>> {
        let JobContext { queue_pool, redis, clock, reconciliation, .. } = context;
        let now = clock.now();
        let request = ReconciliationRequest {
            days: parse_days(self.args.as_deref(), now, reconciliation.zone)?,
            force: self.force,
            trigger: Trigger::Cli,
            requested_by: None,
        };
        let requested = request_reconciliation(queue_pool, redis, &request, &audit_context(COMMAND), None, now).await?;
        Ok(requested.into_iter().map(|day| day.job_id).collect())
    }
}

/// Who runs a command.
pub(crate) fn audit_context(command: &'static str) -> AuditContext {
    AuditContext::of_command(EnvVars::from_process().os_user(), command)
}

fn parse_days(args: Option<&str>, now: DateTime<Utc>, zone: Tz) -> anyhow::Result<Vec<NaiveDate>> {
    let yesterday = RequestedDays { date: Some(day_before(now, zone)), ..RequestedDays::default() };
    let requested: RequestedDays =
        args.map_or(Ok(yesterday), serde_json::from_str).map_err(|error| invalid_arguments(&error))?;
    requested.days(day_of(now, zone)).map_err(|error| anyhow::anyhow!("{} {error}", error.field()))
}

fn invalid_arguments(error: &serde_json::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "the arguments are invalid ({error}); for example '{{\"mode\":\"incremental\"}}' for a sync, \
         '{{\"source\":\"vima\"}}' for {}, or '{{\"date\":\"2026-01-15\"}}' for {}",
        REPLAY_QUARANTINE.name,
        RECONCILE.name
    )
}

fn new_job(kind: &'static JobKind, args: Option<&str>) -> anyhow::Result<NewJob> {
    if let Some(source) = kind.source() {
        let args: SyncArgs =
            args.map_or(Ok(SyncArgs::Incremental), serde_json::from_str).map_err(|error| invalid_arguments(&error))?;
        if let Some((from, to)) = args.days().filter(|(from, to)| from > to) {
            bail!("from_date {from} is after to_date {to}: no day would be read");
        }
        return Ok(NewJob::sync(source, &args, Trigger::Cli));
    }
    if *kind == REPLAY_QUARANTINE {
        let replay = args.map_or(Ok(Replay::All), serde_json::from_str).map_err(|error| invalid_arguments(&error))?;
        return Ok(NewJob::replay(replay, Trigger::Cli));
    }
    let args: Value = args.map_or(Ok(json!({})), serde_json::from_str).map_err(|error| invalid_arguments(&error))?;
    Ok(NewJob::with_args(kind, args, Trigger::Cli))
}

/// Waits for each job and prints its result. Failures are reported together at the end.
async fn wait_for_all(context: &JobContext, job_ids: &[JobId]) -> anyhow::Result<()> {
    let mut failures = vec![];
    for job_id in job_ids {
        match wait_for(context, *job_id).await {
            Err(error) if job_ids.len() > 1 => failures.push(format!("{job_id}: {error}")),
            other => other?,
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!(failures.join("\n")) }
}

/// Waits for a job, shows its progress, and prints its result.
pub(crate) async fn wait_for(context: &JobContext, job_id: JobId) -> anyhow::Result<()> {
    let mut interval = tokio::time::interval(Duration::from_millis(200));
    let mut progress: Option<Progress> = None;
    loop {
        interval.tick().await;
        let Some(job) = jobs::find_summary(&context.queue_pool, job_id).await? else {
            bail!("the job {job_id} was deleted by housekeeping before its result was read");
        };
        let shown = progress.get_or_insert_with(|| Progress::start(job.kind.clone()));
        show(shown, job.state, job.progress.as_ref());
        match job.state {
            JobState::Succeeded => {
                drop(progress);
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

/// Every kind that has progress stores it in these two fields.
fn show(progress: &mut Progress, state: JobState, stored: Option<&Value>) {
    let field = |name| stored.and_then(|stored| stored.get(name)).and_then(Value::as_u64);
    progress.set(field("progress").unwrap_or(0), field("total"), state.as_str());
}

#[cfg(test)]
mod tests {
    use super::*;
    use psp_dashboard::domain::job::SYNC_VIMA;

    #[test]
    fn sync_arguments_are_parsed_or_rejected() {
        for (args, expected) in [
            (None, Ok(r#"{"mode":"incremental"}"#)),
            (Some(r#"{"mode":"full"}"#), Ok(r#"{"mode":"full"}"#)),
            (Some(r#"{"mode":"range","from_date":"2026-01-02","to_date":"2026-01-01"}"#), Err("after to_date")),
            (Some(r#"{"mode":"range","from_date":"2026-01-02"}"#), Err("to_date")),
            (Some(r#"{"mode":"sideways"}"#), Err("incremental")),
            (Some("{"), Err("are invalid")),
        ] {
            match (new_job(&SYNC_VIMA, args), expected) {
                (Ok(job), Ok(expected)) => assert_eq!(job.args.to_string(), expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (job, expected) => panic!("{args:?}: {job:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn days_are_parsed_or_rejected() {
        let now = "2026-03-04T20:00:00Z".parse().expect("a time");
        for (args, expected) in [
            // In Kolkata it is already March 5.
            (None, Ok("2026-03-04..2026-03-04")),
            (Some(r#"{"date":"2026-03-05"}"#), Ok("2026-03-05..2026-03-05")),
            (Some(r#"{"from_date":"2026-03-01","to_date":"2026-03-05"}"#), Ok("2026-03-01..2026-03-05")),
            (Some(r#"{"date":"2026-03-06"}"#), Err("date 2026-03-06 has not begun")),
            (Some(r#"{"from_date":"2026-03-02","to_date":"2026-03-01"}"#), Err("swap them")),
            (Some(r#"{"from_date":"2025-01-01","to_date":"2026-03-01"}"#), Err("more than 92 days")),
            (Some(r#"{"date":"2026-02-30"}"#), Err("are invalid")),
            (Some(r#"{"day":"2026-03-01"}"#), Err("unknown field `day`")),
            (Some("{}"), Err("date is required")),
        ] {
            match (parse_days(args, now, Tz::Asia__Kolkata), expected) {
                (Ok(days), Ok(expected)) => assert_eq!(format!("{}..{}", days[0], days[days.len() - 1]), expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (days, expected) => panic!("{args:?}: {days:?}, expected {expected:?}"),
            }
        }
    }
}
