//! Requesting old payments again that are still open: which are due, and what became of them.
//!
//! When each is due is stored, not derived from the time or from a position in a list: so every payment gets its turn however
//! long runs take, and only those that are due are loaded.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::ingest_page::RunClaim;
use crate::db::DbError;
use crate::db::jobs::claims;
use crate::db::sync::{rechecks, runs};
use crate::domain::recheck::{MAX_AGE, PAYINS_PER_RUN, PAYOUT_DAYS_PER_RUN, Recheck, RecheckOutcome, RecheckTarget};
use crate::domain::sync::day_start;

/// What a run that begins at `now` rechecks among `PayShack`'s payments older than the day `window`, pay-ins first.
pub async fn list_due_rechecks(pool: &PgPool, window: NaiveDate, now: DateTime<Utc>) -> Result<Vec<Recheck>, DbError> {
    let (from, until) = (now - MAX_AGE, day_start(window));
    let mut due = rechecks::list_due_payins(pool, from, until, now, PAYINS_PER_RUN).await?;
    due.extend(rechecks::list_due_payout_days(pool, from, until, now, PAYOUT_DAYS_PER_RUN).await?);
    Ok(due)
}

/// Stores when the payments are due again, and counts those that were not found. `seen` is the progress of the run.
pub async fn record_rechecks(
    pool: &PgPool,
    run_claim: &RunClaim,
    rechecked: Vec<(Recheck, RecheckOutcome)>,
    seen: u64,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let not_found = rechecked.iter().filter(|(recheck, outcome)| {
        *outcome == RecheckOutcome::NotFound && matches!(recheck.target, RecheckTarget::Payin(_))
    });
    let not_found = not_found.count() as u64;
    let next: Vec<Recheck> = rechecked.into_iter().map(|(recheck, outcome)| recheck.after(outcome)).collect();
    let mut transaction = pool.begin().await?;
    rechecks::upsert(&mut transaction, &next, now).await?;
    rechecks::prune(&mut transaction, now - MAX_AGE).await?;
    runs::add_not_found(&mut transaction, run_claim.run_id, not_found).await?;
    claims::verify_claim(&mut transaction, &run_claim.claim, &json!({"progress": seen})).await?;
    transaction.commit().await?;
    Ok(())
}
