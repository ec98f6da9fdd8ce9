//! Recomputes the metric rollups from the transactions, day by day, and repairs cells that differ. A packed day that differs
//! gets a new version, after which it is no longer read, and is packed again by the next housekeeping.
//!
//! The rollups are exact at every commit, so cells differ only after manual changes to the tables, or writes of another
//! release. Each day is first compared without a lock; only if cells differ, the source is locked and the day repaired, so
//! that syncs continue meanwhile.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::pack_days;
use super::publish_events::publish_events;
use crate::clock::Clock;
use crate::db::jobs::claims;
use crate::db::metrics::{cells, data_version};
use crate::db::{DbError, events, transactions};
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::domain::transaction::Source;
use crate::redis::Redis;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildCounts {
    /// The number of checked days, counted per source.
    pub days: u64,
    pub repaired_cells: u64,
}

/// Checks every day of both sources, latest first, because recent days are queried most.
pub async fn rebuild_rollups(
    pool: &PgPool,
    redis: &Redis,
    clock: &dyn Clock,
    claim: &Claim,
) -> Result<RebuildCounts, DbError> {
    let mut counts = RebuildCounts::default();
    let days = cells::list_days(&mut *pool.acquire().await?).await?;
    let total = days.len() * Source::ALL.len();
    for day in days.into_iter().rev() {
        for source in Source::ALL {
            counts.days += 1;
            let progress = json!({"progress": counts.days, "total": total});
            let cells = cells::count_mismatches(&mut *pool.acquire().await?, source, day).await?;
            let packed = pack_days::count_mismatches(pool, source, day).await?;
            if cells > 0 || packed > 0 {
                counts.repaired_cells += repair(pool, redis, clock, claim, (source, day), &progress).await?;
            } else {
                claims::verify_claim(&mut *pool.acquire().await?, claim, &progress).await?;
            }
        }
    }
    Ok(counts)
}

async fn repair(
    pool: &PgPool,
    redis: &Redis,
    clock: &dyn Clock,
    claim: &Claim,
    (source, day): (Source, NaiveDate),
    progress: &Value,
) -> Result<u64, DbError> {
    let mut transaction = pool.begin().await?;
    transactions::lock_source(&mut transaction, source).await?;
    let repaired = cells::repair(&mut transaction, source, day).await?;
    data_version::increment(&mut transaction, source, &BTreeSet::from([day])).await?;
    claims::verify_claim(&mut transaction, claim, progress).await?;
    let events = vec![Event::MetricsUpdated { sources: vec![source] }];
    let recorded = events::insert(&mut transaction, events, clock.now()).await?;
    transaction.commit().await?;
    publish_events(redis, &recorded).await;
    tracing::warn!(%source, %day, repaired, "repaired metric cells that differed from the transactions");
    Ok(repaired)
}
