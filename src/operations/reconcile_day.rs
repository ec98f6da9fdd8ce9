//! Reconciles one day: compares its transactions, updates its discrepancies, and records the result.
//!
//! All of this is one database transaction over one snapshot, whose last statement verifies the claim: a worker that is
//! killed, or was presumed dead, leaves no partial result. Syncs can continue meanwhile.
//!
//! The job may be attempted again after that transaction, if its worker died before it recorded the success. A completed
//! run never changes, so such an attempt only returns what the run has found.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::publish_events::publish_events;
use crate::clock::Clock;
use crate::db::jobs::claims;
use crate::db::reconciliation::judge::{DayRun, begin_snapshot, judge};
use crate::db::reconciliation::merge_discrepancies::{MergedDiscrepancies, count_merged, merge_discrepancies};
use crate::db::reconciliation::record::{self, CompletedRun};
use crate::db::reconciliation::runs;
use crate::db::reconciliation::runs::ReconciliationRun;
use crate::db::sync::history;
use crate::db::{DbError, events};
use crate::domain::day::DayRange;
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::domain::reconciliation::tally::{AmountsByCurrency, Tally, TallyMismatch};
use crate::domain::reconciliation::{Coverages, Parameters};
use crate::domain::transaction::Source;
use crate::redis::Redis;

/// The result of the job: the names in its JSON must not change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReconciledDay {
    pub run_id: Uuid,
    pub date: NaiveDate,
    /// The number of completed runs of the day, including this one.
    pub version: u32,
    pub counts: Tally,
    pub amounts: AmountsByCurrency,
    #[serde(rename = "cases")]
    pub discrepancies: MergedDiscrepancies,
}

/// The day was not reconciled, and no result was written.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    TallyMismatch(#[from] TallyMismatch),
}

/// Reconciles `date`, a day in `zone`, unless an earlier attempt of the job has done so.
pub async fn reconcile_day(
    pool: &PgPool,
    redis: &Redis,
    clock: &dyn Clock,
    claim: &Claim,
    date: NaiveDate,
    zone: Tz,
    parameters: &Parameters,
) -> Result<ReconciledDay, ReconcileError> {
    let (from, until) = DayRange::single(date, zone).instants();
    let run = DayRun { id: claim.job_id.0, date, from, until };
    if let Some(reconciled) = find_reconciled(pool, &run).await? {
        return Ok(reconciled);
    }
    start(pool, redis, claim, &run, parameters, clock.now()).await?;

    let as_of = clock.now();
    let mut snapshot = begin_snapshot(pool, date).await?;
    let coverages = Coverages {
        vima: history::find_coverage(&mut snapshot, Source::Vima).await?,
        payshack: history::find_coverage(&mut snapshot, Source::Payshack).await?,
    };
    let (tally, amounts) = judge(&mut snapshot, &run, parameters, &coverages, as_of).await?;
    tally.check()?;
    publish_progress(pool, redis, &run, tally, clock.now()).await;
    let discrepancies = merge_discrepancies(&mut snapshot, &run, as_of).await?;
    let completed = CompletedRun { as_of, coverages, tally, amounts: &amounts };
    let version = record::complete(&mut snapshot, &run, &completed, clock.now()).await?;
    claims::verify_claim(&mut snapshot, claim, &json!({"date": date, "counts": tally})).await?;
    let events = vec![Event::ReconciliationCompleted { date, run_id: run.id, counts: tally }];
    let recorded = events::insert(&mut snapshot, events, clock.now()).await?;
    snapshot.commit().await.map_err(DbError::from)?;
    publish_events(redis, &recorded).await;
    Ok(ReconciledDay { run_id: run.id, date, version, counts: tally, amounts, discrepancies })
}

/// What the run has found, if it is completed.
async fn find_reconciled(pool: &PgPool, run: &DayRun) -> Result<Option<ReconciledDay>, DbError> {
    match runs::find(pool, run.id).await? {
        Some(ReconciliationRun { id, recon_date, version: Some(version), tally, amounts, .. }) => {
            let discrepancies = count_merged(pool, run).await?;
            Ok(Some(ReconciledDay { run_id: id, date: recon_date, version, counts: tally, amounts, discrepancies }))
        }
        _ => Ok(None),
    }
}

async fn start(
    pool: &PgPool,
    redis: &Redis,
    claim: &Claim,
    run: &DayRun,
    parameters: &Parameters,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    record::start(&mut transaction, run, parameters, now).await?;
    claims::verify_claim(&mut transaction, claim, &json!({"date": run.date})).await?;
    let events = vec![Event::ReconciliationStarted { date: run.date, run_id: run.id }];
    let recorded = events::insert(&mut transaction, events, now).await?;
    transaction.commit().await?;
    publish_events(redis, &recorded).await;
    Ok(())
}

/// Publishes the counts in a separate database transaction, because that of the run is not visible before it ends. A failure
/// is only logged.
async fn publish_progress(pool: &PgPool, redis: &Redis, run: &DayRun, counts: Tally, now: DateTime<Utc>) {
    let insert = async {
        let mut transaction = pool.begin().await?;
        let events = vec![Event::ReconciliationProgress { date: run.date, run_id: run.id, counts }];
        let recorded = events::insert(&mut transaction, events, now).await?;
        transaction.commit().await?;
        Ok::<_, DbError>(recorded)
    };
    match insert.await {
        Ok(recorded) => publish_events(redis, &recorded).await,
        Err(error) => {
            tracing::warn!(%error, date = %run.date, "failed to publish the progress of the reconciliation");
        }
    }
}
