//! Lists payments, a page at a time, and says how many there are.
//!
//! The cells of the metrics know how many payments most filters find, and of what day. So nothing is looked for where there is
//! nothing, and a page far down a list by creation is found by passing over whole days in the cells and only the rest of one
//! payment by payment. Rejected: passing over ids alone (half a million of them before page 10,000), and a limit to how
//! deep pages go.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

use super::metrics_cache::{MetricsCache, SumError};
use crate::db::DbError;
use crate::db::count::Count;
use crate::db::transactions::search;
use crate::db::transactions::search::{
    FoundTransaction, RollupCount, SortBy, SortOrder, TransactionFilter, TransactionWindow,
};
use crate::domain::metrics::cell::Width;
use crate::domain::metrics::query::{MetricQuery, MetricRow, payment_count};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::time_range::TimeRange;

/// So few are passed over one by one.
const NEAR: i64 = 1_000;
/// The days that are told apart when days are passed over: what is older is passed over payment by payment.
const DAYS: i64 = 1_000;

/// The payments of one part of a listing, and how many the whole has; `now` is the end of the last day that is passed over at
/// once.
///
/// # Errors
/// [`SumError`] where the database cannot be asked, or holds an impossible row.
pub async fn list_payments(
    pool: &PgPool,
    sums: &MetricsCache,
    filter: &TransactionFilter,
    window: &TransactionWindow,
    now: DateTime<Utc>,
) -> Result<(Vec<FoundTransaction>, Count), SumError> {
    match filter.rollup_count() {
        RollupCount::Exact(question) => {
            let total = payment_count(&*sums.ask(&question).await?.sums);
            let page = if total == 0 { vec![] } else { list(pool, sums, question, (filter, window), now).await? };
            Ok((page, Count { total, exact: true }))
        }
        RollupCount::ByAmountBand(question) => {
            let listing = async { Ok(search::list(pool, filter, window).await?) };
            tokio::try_join!(listing, count_in_bands(pool, sums, filter, &question))
        }
        RollupCount::UpperBound(question) => {
            let at_most = payment_count(&*sums.ask(&question).await?.sums);
            if at_most == 0 {
                return Ok((vec![], Count { total: 0, exact: true }));
            }
            let listing = search::list(pool, filter, window);
            let counting = async { search::count(&mut *connection_of(pool).await?, filter, at_most).await };
            if filter.search.is_none() {
                return Ok(tokio::try_join!(listing, counting)?);
            }
            // What is rare is found once, not once more to be counted.
            let page = listing.await?;
            let found = page.len() as u64;
            let is_all =
                window.page.after.is_none() && window.page.offset == 0 && found < window.page.limit.unsigned_abs();
            Ok((page, if is_all { Count { total: found, exact: true } } else { counting.await? }))
        }
    }
}

async fn count_in_bands(
    pool: &PgPool,
    sums: &MetricsCache,
    filter: &TransactionFilter,
    question: &MetricQuery,
) -> Result<Count, SumError> {
    let answer = sums.ask(question).await?;
    Ok(add_rest(&mut *connection_of(pool).await?, filter, &answer.sums).await?)
}

/// The bands say how many payments they have; those of what is left at the ends of the amounts are counted.
pub(super) async fn add_rest(
    connection: &mut PgConnection,
    filter: &TransactionFilter,
    sums: &[MetricRow],
) -> Result<Count, DbError> {
    let (bands, rest) = filter.amounts.in_bands();
    let within = sums.iter().filter(|sum| bands.iter().any(|band| band.as_str() == sum.member));
    let mut count = Count { total: payment_count(within), exact: true };
    for amounts in rest {
        let filter = TransactionFilter { amounts, ..filter.clone() };
        count += search::count(&mut *connection, &filter, u64::MAX).await?;
    }
    Ok(count)
}

async fn connection_of(pool: &PgPool) -> Result<PoolConnection<Postgres>, DbError> {
    Ok(pool.acquire().await?)
}

async fn list(
    pool: &PgPool,
    sums: &MetricsCache,
    question: MetricQuery,
    (filter, window): (&TransactionFilter, &TransactionWindow),
    now: DateTime<Utc>,
) -> Result<Vec<FoundTransaction>, SumError> {
    if window.sort_by != SortBy::CreatedAt || window.page.offset <= NEAR {
        return Ok(search::list(pool, filter, window).await?);
    }
    let days = Days::of(filter, now);
    let answer = sums.ask(&MetricQuery { buckets: TimeBuckets::between(days.0.clone()), ..question }).await?;
    let (filter, window) = days.pass_over(&answer.sums, filter.clone(), *window);
    Ok(search::list(pool, &filter, &window).await?)
}

/// Where days begin, from the first time that a filter asks for to the last, by the clock of the cells.
struct Days(Vec<DateTime<Utc>>);

impl Days {
    fn of(filter: &TransactionFilter, now: DateTime<Utc>) -> Self {
        let TimeRange { from, until } = filter.time_range();
        let today = Width::Day.start(now);
        let days = (-DAYS..=1).map(|day| today + TimeDelta::days(day)).filter(|day| *day > from && *day < until);
        Self(std::iter::once(from).chain(days).chain([until]).collect())
    }

    /// The same part of the same listing, said from the day on that it begins in.
    fn pass_over(
        &self,
        sums: &[MetricRow],
        mut filter: TransactionFilter,
        mut window: TransactionWindow,
    ) -> (TransactionFilter, TransactionWindow) {
        let mut counts = vec![0; self.0.len() - 1];
        for sum in sums {
            if let Some(count) = usize::try_from(sum.bucket).ok().and_then(|slot| counts.get_mut(slot)) {
                *count += sum.measures.count;
            }
        }
        let days = self.0.windows(2).zip(counts);
        let days: Vec<_> = if window.order == SortOrder::Desc { days.rev().collect() } else { days.collect() };
        for (day, count) in days {
            if count > window.page.offset {
                break;
            }
            window.page.offset -= count;
            match window.order {
                SortOrder::Desc => filter.until = Some(day[0]),
                SortOrder::Asc => filter.from = Some(day[1]),
            }
        }
        (filter, window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::page::PageWindow;
    use crate::domain::metrics::cell::Measures;
    use crate::domain::status::Status;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn passed(order: SortOrder, offset: i64) -> (TransactionFilter, i64) {
        let filter = TransactionFilter {
            from: Some(time("2026-01-10T18:30:00Z")),
            until: Some(time("2026-01-13T18:30:00Z")),
            ..TransactionFilter::default()
        };
        let days = Days::of(&filter, time("2026-01-20T12:00:00Z"));
        assert_eq!(days.0.len(), 5);
        let sum = |(slot, count)| MetricRow {
            bucket: slot,
            source: None,
            member: String::new(),
            status: Status::Success,
            currency: "INR".to_owned(),
            measures: Measures { count, ..Measures::default() },
        };
        // The second day has none.
        let sums = [(0, 1), (0, 2), (2, 10), (3, 5)].map(sum);
        let window = TransactionWindow {
            sort_by: SortBy::CreatedAt,
            order,
            page: PageWindow { after: None, offset, limit: 51 },
        };
        let (filter, window) = days.pass_over(&sums, filter, window);
        (filter, window.page.offset)
    }

    #[test]
    fn whole_days_are_passed_over() {
        let (from, until) = (Some(time("2026-01-10T18:30:00Z")), Some(time("2026-01-13T18:30:00Z")));
        let of = |order, offset| {
            let (filter, left) = passed(order, offset);
            (filter.from, filter.until, left)
        };
        let day = |text: &str| Some(time(text));
        assert_eq!(of(SortOrder::Desc, 4), (from, until, 4));
        assert_eq!(of(SortOrder::Desc, 5), (from, day("2026-01-13T00:00:00Z"), 0));
        assert_eq!(of(SortOrder::Desc, 16), (from, day("2026-01-11T00:00:00Z"), 1));
        assert_eq!(of(SortOrder::Asc, 2), (from, until, 2));
        assert_eq!(of(SortOrder::Asc, 3), (day("2026-01-12T00:00:00Z"), until, 0));
        // Past the end there is nothing.
        assert_eq!(of(SortOrder::Desc, 100), (from, from, 82));
    }
}
