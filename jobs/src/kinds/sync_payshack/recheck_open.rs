//! Which of `PayShack`'s old open payments are asked for again.
//!
//! A payment that is still open here and older than the window would never be heard of again. There may be more of them
//! than one run can ask for, so each run takes its turn's share of them, oldest first; which share follows from the time
//! alone, so nothing has to be remembered and none is forgotten. After 30 days a payment is left as it is.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use psp_dashboard::db::DbError;
use psp_dashboard::db::transactions::{OpenTransaction, list_open};
use psp_dashboard::domain::transaction::{Kind, Source};
use sqlx::PgPool;

/// How old a payment may be and still be asked for.
const OLDEST: Duration = Duration::from_hours(30 * 24);
/// How many pay-ins a run asks for, one by one.
const PAYINS: usize = 50;
/// How many days of pay-outs a run reads again: pay-outs cannot be asked for one by one.
const PAYOUT_DAYS: usize = 2;

/// What a run asks for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recheck {
    /// Pay-ins, by their ids.
    pub payins: Vec<String>,
    /// Days with open pay-outs.
    pub payout_days: Vec<NaiveDate>,
}

/// What the run that begins at `now`, and every `interval` again, asks for of what is older than `window`.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn choose(
    pool: &PgPool,
    window: NaiveDate,
    now: DateTime<Utc>,
    interval: Duration,
) -> Result<Recheck, DbError> {
    let (from, until) = (now - OLDEST, window.and_time(NaiveTime::MIN).and_utc());
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

/// The share of the `turn`: of all that there are, `most` at a time, beginning anew after the last.
fn share<T>(all: Vec<T>, most: usize, turn: u64) -> Vec<T> {
    let shares = all.len().div_ceil(most).max(1);
    let share = usize::try_from(turn % shares as u64).unwrap_or(0);
    all.into_iter().skip(share * most).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_has_its_turn() {
        for count in [0, 1, 49, 50, 51, 120] {
            let all: Vec<usize> = (0..count).collect();
            let shares = count.div_ceil(PAYINS).max(1) as u64;
            let mut asked: Vec<usize> = (100..100 + shares).flat_map(|turn| share(all.clone(), PAYINS, turn)).collect();
            asked.sort_unstable();
            assert_eq!(asked, all, "{count}");
        }
    }
}
