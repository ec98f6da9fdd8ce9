//! Ends an attempt of a job, and tells of what failed with it.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::publish_events::publish_events;
use crate::db::jobs::Outcome;
use crate::db::{DbError, events, jobs, sync_runs};
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::wire::Wire;

/// Records how the attempt ended: the job moves on, the lease goes, and a sync run that it left behind ends with it.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now; [`DbError`] where the database refuses.
pub async fn finish_job(
    pool: &PgPool,
    wire: &Wire,
    claim: &Claim,
    kind: &str,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    jobs::finish(&mut transaction, claim, outcome).await?;
    let why = match outcome {
        Outcome::Retry { error, .. } | Outcome::Failed(error) => error,
        Outcome::HandedBack => "the worker had to stop; another one goes on",
        Outcome::Succeeded(_) => "the job ended before its run did",
    };
    let failed = matches!(outcome, Outcome::Failed(_));
    let ended = sync_runs::fail_left_behind(&mut transaction, &[claim.job_id], why, now).await?;
    let of_runs = ended.into_iter().map(|run| Event::SyncFailed {
        source: run.source,
        error: why.to_owned(),
        will_retry: !failed,
    });
    let of_job =
        failed.then(|| Event::JobFailed { kind: kind.to_owned(), job_id: claim.job_id.0, error: why.to_owned() });
    let recorded = events::insert(&mut transaction, of_runs.chain(of_job).collect(), now).await?;
    transaction.commit().await?;
    publish_events(wire, &recorded).await;
    Ok(())
}
