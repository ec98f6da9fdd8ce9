//! Rescues the jobs of dead workers.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::finish_job::{count_failed_syncs, finish_abandoned_runs};
use super::publish_events::publish_events;
use crate::db::jobs::leases;
use crate::db::jobs::leases::LostJob;
use crate::db::{DbError, events};
use crate::redis::Redis;

/// Makes the jobs whose lease has expired due again, as suspects, and ends their unfinished runs. Returns what became of each.
pub async fn rescue_jobs(pool: &PgPool, redis: &Redis, now: DateTime<Utc>) -> Result<Vec<LostJob>, DbError> {
    let mut transaction = pool.begin().await?;
    let lost = leases::release_expired(&mut transaction).await?;
    let mut events = vec![];
    for LostJob { job_id, kind, state, error } in &lost {
        events.extend(finish_abandoned_runs(&mut transaction, *job_id, kind, *state, error, now).await?);
    }
    let recorded = events::insert(&mut transaction, events, now).await?;
    transaction.commit().await?;
    count_failed_syncs(&recorded);
    publish_events(redis, &recorded).await;
    Ok(lost)
}
