//! Takes the jobs of dead workers over, and tells of those that end with them.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::finish_job::end_with_job;
use super::publish_events::publish_events;
use crate::db::jobs::leases;
use crate::db::jobs::leases::LostJob;
use crate::db::{DbError, events};
use crate::redis::Redis;

/// Makes the jobs whose lease ran out due again, as suspects, ends the runs they left behind, and says what became of each.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn rescue_jobs(pool: &PgPool, redis: &Redis, now: DateTime<Utc>) -> Result<Vec<LostJob>, DbError> {
    let mut transaction = pool.begin().await?;
    let lost = leases::release_expired(&mut transaction).await?;
    let mut news = vec![];
    for LostJob { job_id, kind, state, error } in &lost {
        news.extend(end_with_job(&mut transaction, *job_id, kind, *state, error, now).await?);
    }
    let recorded = events::insert(&mut transaction, news, now).await?;
    transaction.commit().await?;
    publish_events(redis, &recorded).await;
    Ok(lost)
}
