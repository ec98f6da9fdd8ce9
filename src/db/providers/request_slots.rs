//! Request slots of a provider: each request gets the next free point in time, by the database's clock.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

use crate::db::DbError;
use crate::db::types::interval;

/// Reserves the next slot of `provider`, whose slots are `apart`, and returns how long to wait for it.
pub async fn reserve(pool: &PgPool, provider: &str, apart: Duration) -> Result<Duration, DbError> {
    let wait = sqlx::query_scalar!(
        r#"INSERT INTO request_slots AS slot (provider, next_at) VALUES ($1, clock_timestamp() + $2::interval)
               ON CONFLICT (provider) DO UPDATE SET next_at = greatest(slot.next_at, clock_timestamp()) + $2::interval
           RETURNING next_at - $2::interval - clock_timestamp() AS "wait!""#,
        provider,
        interval(apart)
    )
    .fetch_one(pool)
    .await?;
    Ok(duration(&wait))
}

/// Gives out no slot of `provider` before `wait` has passed.
pub async fn pause(pool: &PgPool, provider: &str, wait: Duration) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO request_slots AS slot (provider, next_at) VALUES ($1, clock_timestamp() + $2::interval)
               ON CONFLICT (provider) DO UPDATE SET next_at = greatest(slot.next_at, excluded.next_at)"#,
        provider,
        interval(wait)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A difference of two times has no months. Zero if it is negative.
fn duration(interval: &PgInterval) -> Duration {
    let days = Duration::from_hours(24) * u32::try_from(interval.days).unwrap_or(0);
    days + Duration::from_micros(u64::try_from(interval.microseconds).unwrap_or(0))
}
