//! Packs the metric cells of finished days, and checks those that are packed.
//!
//! Days change for a while after they have ended (refunds, late records), so this runs again and again, and packs the days that
//! have changed since. Until then their metrics come from the cells: packing is about speed only. Rejected: packing a day in the
//! transaction that changes it, which would count a day for one refund.

use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::metrics::{packed_counts, packed_days};
use crate::domain::metrics::cell::Facet;
use crate::domain::transaction::Source;

/// The most days that are packed at once, counted per source: a first run packs half a year, and later runs the years before.
const MOST_DAYS: u64 = 366;
/// The longest time for them, half of what the job may take. A later run continues.
const LONGEST: Duration = Duration::from_mins(5);

/// Packs days that have ended and are not packed, or have changed since; the newest first. Returns how many, counted per source.
pub async fn pack_days(pool: &PgPool, now: DateTime<Utc>) -> Result<u64, DbError> {
    let missing = packed_days::list_missing(&mut *pool.acquire().await?, now.date_naive(), MOST_DAYS).await?;
    let (started, mut packed) = (Instant::now(), 0);
    for (source, day) in missing {
        if started.elapsed() > LONGEST {
            break;
        }
        match pack_day(pool, source, day).await {
            Ok(()) => packed += 1,
            // Another process has packed the day, or packs it.
            Err(DbError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(packed)
}

/// Packs a day of a source, in one snapshot.
pub async fn pack_day(pool: &PgPool, source: Source, day: NaiveDate) -> Result<(), DbError> {
    let mut transaction = packed_days::begin(pool).await?;
    packed_days::replace(&mut transaction, source, day).await?;
    for facet in Facet::ALL {
        let rows = packed_counts::count(&mut transaction, (source, day, facet)).await?;
        packed_days::insert(&mut transaction, (source, day, facet), &rows).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Counts the packed rows of a day that differ from its payments. A day that is not packed, or not current, has none.
pub async fn count_mismatches(pool: &PgPool, source: Source, day: NaiveDate) -> Result<usize, DbError> {
    let mut transaction = packed_days::begin(pool).await?;
    let mut mismatches = 0;
    if packed_days::is_current(&mut transaction, source, day).await? {
        for facet in Facet::ALL {
            let expected = packed_counts::count(&mut transaction, (source, day, facet)).await?;
            let stored = packed_days::list(&mut transaction, (source, day, facet)).await?;
            let missing = expected.iter().filter(|row| !stored.contains(row)).count();
            mismatches += missing.max(stored.iter().filter(|row| !expected.contains(row)).count());
        }
    }
    transaction.rollback().await?;
    Ok(mismatches)
}
