//! Ends an attempt of a job, and tells of what ended with it.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::enqueue_job::send_wakeup;
use super::publish_events::publish_events;
use crate::db::jobs::claims;
use crate::db::reconciliation::record;
use crate::db::sync::runs;
use crate::db::{DbError, events};
use crate::domain::event::Event;
use crate::domain::job::attempt::{ClaimedJob, Outcome};
use crate::domain::job::{JobId, JobKind, JobState, RECONCILE};
use crate::domain::reconciliation;
use crate::domain::sync::RunStatus;
use crate::redis::Redis;

/// Records how the attempt ended: the job moves on, the lease goes, and a sync run that it left behind ends with it. Rings
/// in `queue` for a job that was handed back.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now; [`DbError`] where the database refuses.
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
    let news = end_with_job(&mut transaction, job_id, &job.kind, state, why(outcome, state), now).await?;
    let recorded = events::insert(&mut transaction, news, now).await?;
    transaction.commit().await?;
    if state == JobState::Queued {
        send_wakeup(redis, queue, job_id).await;
    }
    publish_events(redis, &recorded).await;
    Ok(())
}

fn why(outcome: &Outcome, state: JobState) -> &str {
    match outcome {
        _ if state == JobState::Cancelled => "the job was cancelled",
        Outcome::HandedBack => "the worker had to stop; another one goes on",
        _ => outcome.error().unwrap_or("the job ended before its run did"),
    }
}

/// Ends the runs that an attempt has left behind, and says what is to be told of them and of the job, which is in `state`
/// now.
pub(super) async fn end_with_job(
    connection: &mut PgConnection,
    job_id: JobId,
    kind: &str,
    state: JobState,
    why: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, DbError> {
    let (of_runs, of_days) = if state == JobState::Cancelled {
        (RunStatus::Cancelled, reconciliation::RunStatus::Cancelled)
    } else {
        (RunStatus::Failed, reconciliation::RunStatus::Failed)
    };
    let (error, will_retry) = (why.to_owned(), !state.is_finished());
    let mut news = vec![];
    if JobKind::source_of(kind).is_some() {
        for source in runs::finish_abandoned(connection, job_id, of_runs, why, now).await? {
            let job_id = Some(job_id.0);
            news.push(Event::SyncFailed { source, job_id, error: error.clone(), will_retry });
        }
    } else if kind == RECONCILE.name {
        let left = record::finish_abandoned(connection, job_id, of_days, why, now).await?;
        news.extend(left.map(|date| Event::ReconciliationFailed {
            date,
            run_id: job_id.0,
            error: error.clone(),
            will_retry,
        }));
    }
    if state == JobState::Failed {
        news.push(Event::JobFailed { kind: kind.to_owned(), job_id: job_id.0, error });
    }
    Ok(news)
}
