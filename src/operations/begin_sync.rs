//! Starts a sync run: inserts its record and publishes the event.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::publish_events::publish_events;
use crate::db::jobs::claims;
use crate::db::sync::runs;
use crate::db::sync::runs::NewSyncRun;
use crate::db::{DbError, events};
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::redis::Redis;

pub async fn begin_sync(
    pool: &PgPool,
    redis: &Redis,
    claim: &Claim,
    run: &NewSyncRun,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    runs::insert(&mut transaction, run, now).await?;
    claims::verify_claim(&mut transaction, claim, &serde_json::json!({"progress": 0})).await?;
    let started = Event::SyncStarted { source: run.source, job_id: run.job_id.0, mode: run.args.mode() };
    let recorded = events::insert(&mut transaction, vec![started], now).await?;
    transaction.commit().await?;
    publish_events(redis, &recorded).await;
    Ok(())
}
