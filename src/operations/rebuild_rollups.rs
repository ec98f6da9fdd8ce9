//! Counts the cells of the metrics anew from the payments, day by day, and mends those that are not what they must be.
//!
//! They are exact at every commit, so there is nothing to mend, unless somebody wrote to the tables by hand, or a process of
//! another release did. A day is looked at without any lock first; only where something is odd it is mended, in the turn of
//! its source, so that syncs go on beside it.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::publish_events::publish_events;
use crate::clock::Clock;
use crate::db::jobs::claims;
use crate::db::metrics::{cells, data_version};
use crate::db::{DbError, events, transactions};
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::domain::transaction::Source;
use crate::redis::Redis;

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many days of a source were looked at.
    pub days: u64,
    /// How many cells were mended.
    pub mended: u64,
}

/// Looks at every day of both sources, the latest first, for those are looked at most.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now. [`DbError`] where the database refuses.
pub async fn rebuild_rollups(
    pool: &PgPool,
    redis: &Redis,
    clock: &dyn Clock,
    claim: &Claim,
) -> Result<Rebuilt, DbError> {
    let mut rebuilt = Rebuilt::default();
    let days = cells::list_days(&mut *pool.acquire().await?).await?;
    let total = days.len() * Source::ALL.len();
    for day in days.into_iter().rev() {
        for source in Source::ALL {
            rebuilt.days += 1;
            let progress = json!({"progress": rebuilt.days, "total": total});
            if cells::count_mismatches(&mut *pool.acquire().await?, source, day).await? > 0 {
                rebuilt.mended += repair(pool, redis, clock, claim, (source, day), &progress).await?;
            } else {
                claims::verify_claim(&mut *pool.acquire().await?, claim, &progress).await?;
            }
        }
    }
    Ok(rebuilt)
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
    let mended = cells::repair(&mut transaction, source, day).await?;
    data_version::increment(&mut transaction, source, &BTreeSet::from([day])).await?;
    claims::verify_claim(&mut transaction, claim, progress).await?;
    let news = vec![Event::MetricsUpdated { sources: vec![source] }];
    let recorded = events::insert(&mut transaction, news, clock.now()).await?;
    transaction.commit().await?;
    publish_events(redis, &recorded).await;
    tracing::warn!(%source, %day, mended, "cells of the metrics were not what their payments make them, and are mended");
    Ok(mended)
}
