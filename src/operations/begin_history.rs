//! Begins the reading of a source: what is new is followed from here on, and what was before is owed.
//!
//! The first run does not walk the past: on a busy account that takes an hour, in which nobody would see what happens now.
//! It notes where it begins to follow, and the days before come by a job of their own, newest first, while every later
//! run follows what is new. A run that finds days still owed asks for that job again, so that one that failed or was
//! cancelled leaves no hole.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::enqueue_job::send_wakeup;
use super::ingest_page::RunClaim;
use crate::db::DbError;
use crate::db::jobs::claims;
use crate::db::jobs::{Enqueued, insert_or_join};
use crate::db::sync::{history, streams};
use crate::domain::job::{JobId, JobKind, NewJob, Priority, Trigger};
use crate::domain::sync::{History, Stream};
use crate::domain::transaction::Source;
use crate::domain::version::SequenceId;
use crate::redis::Redis;

/// Records that `source` is followed from here on: its cursors, where it has any, and what is owed of the days before.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now; [`DbError`] where the database refuses.
pub async fn begin_history(
    pool: &PgPool,
    run_claim: &RunClaim,
    source: Source,
    history: History,
    newest: &[(Stream, SequenceId)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    for (stream, id) in newest {
        streams::advance_cursor(&mut transaction, *stream, *id, now).await?;
    }
    history::upsert(&mut transaction, source, history).await?;
    claims::verify_claim(&mut transaction, &run_claim.claim, &serde_json::json!({"progress": 0})).await?;
    transaction.commit().await?;
    Ok(())
}

/// Asks for the days that are still owed of `source`, if any are: by a job that reads them when nobody waits for it, or by
/// the one that is about it already.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn read_owed_history(pool: &PgPool, redis: &Redis, source: Source) -> Result<Option<JobId>, DbError> {
    let Some(owed) = history::find(pool, source).await?.and_then(|history| history.backlog()) else {
        return Ok(None);
    };
    // One such job at a time, although what is owed grows less while it runs.
    let unique_key = Some("history".to_owned());
    let job = NewJob { priority: Priority::Backfill, unique_key, ..NewJob::sync(source, &owed, Trigger::Schedule) };
    let mut transaction = pool.begin().await?;
    let Enqueued { job_id, joined } = insert_or_join(&mut transaction, &job).await?;
    transaction.commit().await?;
    if !joined {
        send_wakeup(redis, JobKind::sync_of(source).queue, job_id).await;
    }
    Ok(Some(job_id))
}
