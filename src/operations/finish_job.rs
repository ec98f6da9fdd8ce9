//! Ends an attempt of a job, together with the runs that it left unfinished.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::enqueue_job::send_wakeup;
use super::publish_events::publish_events;
use crate::db::jobs::claims;
use crate::db::reconciliation::record as run_record;
use crate::db::sync::runs;
use crate::db::{DbError, events};
use crate::domain::event::{Event, RecordedEvent};
use crate::domain::job::attempt::{ClaimedJob, Outcome};
use crate::domain::job::{JobId, JobKind, JobState, RECONCILE};
use crate::domain::reconciliation;
use crate::domain::sync::RunStatus;
use crate::observability::record;
use crate::redis::Redis;

/// Records the outcome of an attempt: updates the job, deletes the lease, and ends an unfinished sync run. Sends a wake-up to
/// `queue` if the job was handed back.
pub async fn finish_job(
    pool: &PgPool,
    redis: &Redis,
    job: &ClaimedJob,
    queue: &str,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let job_id = job.claim.job_id;
    let mut transaction = pool.begin().await?;
    let state = claims::finish(&mut transaction, &job.claim, outcome).await?;
    let events = finish_abandoned_runs(&mut transaction, job_id, &job.kind, state, reason(outcome, state), now).await?;
    let recorded = events::insert(&mut transaction, events, now).await?;
    transaction.commit().await?;
    count_failed_syncs(&recorded);
    if state == JobState::Queued {
        send_wakeup(redis, queue, job_id).await;
    }
    publish_events(redis, &recorded).await;
    Ok(())
}

/// Counts the runs of syncs that ended without a result, once their end is committed.
pub(super) fn count_failed_syncs(recorded: &[RecordedEvent]) {
    for recorded in recorded {
        if let Event::SyncFailed { source, .. } = recorded.event {
            record::sync_run(source, RunStatus::Failed);
        }
    }
}

fn reason(outcome: &Outcome, state: JobState) -> &str {
    match outcome {
        _ if state == JobState::Cancelled => "the job was cancelled",
        Outcome::HandedBack => "the worker had to stop; another one continues",
        _ => outcome.error().unwrap_or("the job ended before its run did"),
    }
}

/// Ends the runs that an attempt left unfinished. Returns the events for them and for the job, whose state is now `state`.
pub(super) async fn finish_abandoned_runs(
    connection: &mut PgConnection,
    job_id: JobId,
    kind: &str,
    state: JobState,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, DbError> {
    let (sync_status, reconciliation_status) = if state == JobState::Cancelled {
        (RunStatus::Cancelled, reconciliation::RunStatus::Cancelled)
    } else {
        (RunStatus::Failed, reconciliation::RunStatus::Failed)
    };
    let (error, will_retry) = (reason.to_owned(), !state.is_finished());
    let mut events = vec![];
    if JobKind::source_of(kind).is_some() {
        for source in runs::finish_abandoned(connection, job_id, sync_status, reason, now).await? {
            let job_id = Some(job_id.0);
            events.push(Event::SyncFailed { source, job_id, error: error.clone(), will_retry });
        }
    } else if kind == RECONCILE.name {
        let date = run_record::finish_abandoned(connection, job_id, reconciliation_status, reason, now).await?;
        events.extend(date.map(|date| Event::ReconciliationFailed {
            date,
            run_id: job_id.0,
            error: error.clone(),
            will_retry,
        }));
    }
    if state == JobState::Failed {
        events.push(Event::JobFailed { kind: kind.to_owned(), job_id: job_id.0, error });
    }
    Ok(events)
}
