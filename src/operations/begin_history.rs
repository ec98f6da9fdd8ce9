//! Starts to follow a source: new records are read from now on, and the days before become the backlog.
//!
//! The first run does not read the backlog: for a busy account that takes an hour, during which no new records would be
//! visible. It records where it starts to follow. A job of its own reads the backlog, newest day first, while later runs
//! read what is new. Each run that finds a backlog requests that job again, so a job that failed or was cancelled leaves no
//! gap.

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

/// Records that `source` is followed from now on: its cursors, if it has any, and its backlog.
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

/// Enqueues the job that reads the backlog of `source` at low priority, or joins a live one. `None` if there is no backlog.
pub async fn enqueue_backlog(pool: &PgPool, redis: &Redis, source: Source) -> Result<Option<JobId>, DbError> {
    let Some(backlog) = history::find(pool, source).await?.and_then(|history| history.backlog()) else {
        return Ok(None);
    };
    // One job at a time, although the backlog, and so the arguments, change while it runs.
    let unique_key = Some("history".to_owned());
    let job = NewJob { priority: Priority::Backfill, unique_key, ..NewJob::sync(source, &backlog, Trigger::Schedule) };
    let mut transaction = pool.begin().await?;
    let Enqueued { job_id, joined } = insert_or_join(&mut transaction, &job).await?;
    transaction.commit().await?;
    if !joined {
        send_wakeup(redis, JobKind::sync_of(source).queue, job_id).await;
    }
    Ok(Some(job_id))
}
