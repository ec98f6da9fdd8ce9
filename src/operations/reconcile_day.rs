//! Reconciles a day: judges every payment of it, brings its cases up to date, and records what came of it.
//!
//! All of it happens in one transaction over one snapshot, whose last statement holds the claim: a worker that is killed,
//! or that was thought dead, leaves nothing. A sync may go on meanwhile.

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
use crate::db::reconciliation::merge_discrepancies::{MergedDiscrepancies, merge_discrepancies};
use crate::db::reconciliation::record::{self, CompletedRun};
use crate::db::sync::history;
use crate::db::{DbError, events};
use crate::domain::day::DayRange;
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::domain::reconciliation::tally::{AmountsByCurrency, Tally, TallyMismatch};
use crate::domain::reconciliation::{Coverages, Parameters};
use crate::domain::transaction::Source;
use crate::redis::Redis;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reconciled {
    /// The run.
    pub run_id: Uuid,
    /// The day.
    pub date: NaiveDate,
    /// The how-manieth completed run of the day it is.
    pub version: u32,
    /// What became of the rows of the day.
    pub counts: Tally,
    /// What they come to, by currency.
    pub amounts: AmountsByCurrency,
    /// What became of its cases.
    pub cases: MergedDiscrepancies,
}

/// Why a day was not reconciled: nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The database did not take it.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Its rows do not add up.
    #[error(transparent)]
    TallyMismatch(#[from] TallyMismatch),
}

/// Reconciles `date`, a day of `zone`, in the name of the job of `claim`.
///
/// # Errors
/// [`ReconcileError`] where it was not reconciled; [`DbError::ClaimLost`] within it where another worker has the job by now.
pub async fn reconcile_day(
    pool: &PgPool,
    redis: &Redis,
    clock: &dyn Clock,
    claim: &Claim,
    date: NaiveDate,
    zone: Tz,
    parameters: &Parameters,
) -> Result<Reconciled, ReconcileError> {
    let (from, until) = DayRange::single(date, zone).instants();
    let run = DayRun { id: claim.job_id.0, date, from, until };
    begin(pool, redis, claim, &run, parameters, clock.now()).await?;

    let as_of = clock.now();
    let mut snapshot = begin_snapshot(pool, date).await?;
    let coverages = Coverages {
        vima: history::find_coverage(&mut snapshot, Source::Vima).await?,
        payshack: history::find_coverage(&mut snapshot, Source::Payshack).await?,
    };
    let (tally, amounts) = judge(&mut snapshot, &run, parameters, &coverages, as_of).await?;
    tally.check()?;
    tell_progress(pool, redis, &run, tally, clock.now()).await;
    let cases = merge_discrepancies(&mut snapshot, &run, as_of).await?;
    let completed = CompletedRun { as_of, coverages, tally, amounts: &amounts };
    let version = record::complete(&mut snapshot, &run, &completed, clock.now()).await?;
    claims::verify_claim(&mut snapshot, claim, &json!({"date": date, "counts": tally})).await?;
    let news = vec![Event::ReconciliationCompleted { date, run_id: run.id, counts: tally }];
    let recorded = events::insert(&mut snapshot, news, clock.now()).await?;
    snapshot.commit().await.map_err(DbError::from)?;
    publish_events(redis, &recorded).await;
    Ok(Reconciled { run_id: run.id, date, version, counts: tally, amounts, cases })
}

async fn begin(
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
    let news = vec![Event::ReconciliationStarted { date: run.date, run_id: run.id }];
    let recorded = events::insert(&mut transaction, news, now).await?;
    transaction.commit().await?;
    publish_events(redis, &recorded).await;
    Ok(())
}

/// Tells how far the run has come, by a transaction of its own: that of the run is not seen before it is done. Failing to
/// is no failure of the run.
async fn tell_progress(pool: &PgPool, redis: &Redis, run: &DayRun, counts: Tally, now: DateTime<Utc>) {
    let told = async {
        let mut transaction = pool.begin().await?;
        let news = vec![Event::ReconciliationProgress { date: run.date, run_id: run.id, counts }];
        let recorded = events::insert(&mut transaction, news, now).await?;
        transaction.commit().await?;
        Ok::<_, DbError>(recorded)
    };
    match told.await {
        Ok(recorded) => publish_events(redis, &recorded).await,
        Err(error) => {
            tracing::warn!(%error, date = %run.date, "dashboards were not told how far the reconciliation is");
        }
    }
}
