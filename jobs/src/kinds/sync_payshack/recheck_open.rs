//! Chooses which of the old payments that are still open are fetched again.
//!
//! An update of a payment that is older than the window would never be read. There may be more open payments than one run
//! can fetch, so each run fetches one share of them, oldest payments first. Which share follows from the time alone:
//! nothing has to be stored, and every payment gets its turn. Payments older than 30 days are left as they are.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use psp_dashboard::db::DbError;
use psp_dashboard::db::transactions::{OpenTransaction, list_open};
use psp_dashboard::domain::sync::day_start;
use psp_dashboard::domain::transaction::{Kind, Source};
use sqlx::PgPool;

const MAX_AGE: Duration = Duration::from_hours(30 * 24);
/// How many pay-ins a run fetches, one request each.
const PAYINS: usize = 50;
/// How many days of pay-outs a run reads again: a single pay-out cannot be requested.
const PAYOUT_DAYS: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recheck {
    /// Ids of pay-ins.
    pub payins: Vec<String>,
    /// Days with open pay-outs.
    pub payout_days: Vec<NaiveDate>,
}

/// Chooses among the payments older than the day `window`, for the run that starts at `now`; runs start every `interval`.
pub async fn choose(
    pool: &PgPool,
    window: NaiveDate,
    now: DateTime<Utc>,
    interval: Duration,
) -> Result<Recheck, DbError> {
    let (from, until) = (now - MAX_AGE, day_start(window));
    let turn = u64::try_from(now.timestamp()).unwrap_or(0) / interval.as_secs().max(1);
    let payins = list_open(pool, Source::Payshack, Kind::Payin, from, until).await?;
    let payouts = list_open(pool, Source::Payshack, Kind::Payout, from, until).await?;
    let mut days: Vec<NaiveDate> = payouts.into_iter().map(|OpenTransaction { day, .. }| day).collect();
    days.dedup();
    Ok(Recheck {
        payins: share(payins.into_iter().map(|open| open.source_id).collect(), PAYINS, turn),
        payout_days: share(days, PAYOUT_DAYS, turn),
    })
}

/// The share of this `turn`: `size` items, starting over after the last share.
fn share<T>(all: Vec<T>, size: usize, turn: u64) -> Vec<T> {
    let shares = all.len().div_ceil(size).max(1);
    let share = usize::try_from(turn % shares as u64).unwrap_or(0);
    all.into_iter().skip(share * size).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_one_share() {
        for count in [0, 1, 49, 50, 51, 120] {
            let all: Vec<usize> = (0..count).collect();
            let shares = count.div_ceil(PAYINS).max(1) as u64;
            let mut chosen: Vec<usize> =
                (100..100 + shares).flat_map(|turn| share(all.clone(), PAYINS, turn)).collect();
            chosen.sort_unstable();
            assert_eq!(chosen, all, "{count}");
        }
    }
}
