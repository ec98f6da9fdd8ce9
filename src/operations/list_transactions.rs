//! Lists transactions page by page, with their total count.
//!
//! For most filters, the metric rollups contain the number of matching transactions per day. So an empty result is known without
//! a search, and a page deep in a list sorted by creation is found by skipping whole days in the rollups, and only the rest
//! row by row. Rejected: skipping ids in the index, a hundred thousand of them before the deepest page that a request may
//! name (`web/http/pagination`).

use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::{Either, select, try_join};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

use super::metrics_cache::{CurrentMetrics, MetricsError};
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

/// Offsets up to this one are skipped row by row.
const MAX_ROW_SKIP: i64 = 1_000;
/// How many days, back from today, can be skipped as a whole. Older transactions are skipped row by row.
const SKIPPABLE_DAYS: i64 = 1_000;
const NONE: Count = Count { total: 0, exact: true };

/// The transactions in `window`, and the count of all that match. `now` determines the last day that can be skipped.
pub async fn list_transactions(
    pool: &PgPool,
    metrics: &CurrentMetrics<'_>,
    filter: &TransactionFilter,
    window: &TransactionWindow,
    now: DateTime<Utc>,
) -> Result<(Vec<FoundTransaction>, Count), MetricsError> {
    let search = async { Ok(search::list(pool, filter, window).await?) };
    match filter.rollup_count() {
        RollupCount::Exact(query) => {
            let count = async { Ok(Count { total: count_in_rollups(metrics, &query).await?, exact: true }) };
            let page = list(pool, metrics, query.clone(), (filter, window), now);
            list_and_count(page, count).await
        }
        RollupCount::ByAmountBand(query) => {
            list_and_count(search, count_by_amount_band(pool, metrics, filter, &query)).await
        }
        RollupCount::UpperBound(query) if filter.search.is_none() => {
            let count = async {
                let at_most = count_in_rollups(metrics, &query).await?;
                Ok(if at_most == 0 { NONE } else { count(pool, filter, at_most).await? })
            };
            list_and_count(search, count).await
        }
        RollupCount::UpperBound(query) => {
            let at_most = async {
                let total = count_in_rollups(metrics, &query).await?;
                Ok(Count { total, exact: total == 0 })
            };
            let (page, at_most) = list_and_count(search, at_most).await?;
            if at_most == NONE {
                return Ok((page, at_most));
            }
            // A search text is often rare: a page with all matches needs no second search for the count.
            let found = page.len() as u64;
            let is_all =
                window.page.after.is_none() && window.page.offset == 0 && found < window.page.limit.unsigned_abs();
            let exact = Count { total: found, exact: true };
            Ok((page, if is_all { exact } else { count(pool, filter, at_most.total).await? }))
        }
    }
}

/// Reads both at the same time, but does not wait for the page of a list that has turned out to be empty: finding nothing can
/// take a search of every transaction.
async fn list_and_count(
    page: impl Future<Output = Result<Vec<FoundTransaction>, MetricsError>> + Send,
    count: impl Future<Output = Result<Count, MetricsError>> + Send,
) -> Result<(Vec<FoundTransaction>, Count), MetricsError> {
    // The count first: if it is cached, the page of an empty list is not even begun.
    match select(count.boxed(), page.boxed()).await {
        Either::Left((count, page)) => {
            let count = count?;
            Ok((if count == NONE { vec![] } else { page.await? }, count))
        }
        Either::Right((page, count)) => Ok((page?, count.await?)),
    }
}

async fn count_in_rollups(metrics: &CurrentMetrics<'_>, query: &MetricQuery) -> Result<u64, MetricsError> {
    Ok(payment_count(&*metrics.query(query).await?.rows))
}

async fn count(pool: &PgPool, filter: &TransactionFilter, at_most: u64) -> Result<Count, DbError> {
    search::count(&mut *acquire(pool).await?, filter, at_most).await
}

async fn count_by_amount_band(
    pool: &PgPool,
    metrics: &CurrentMetrics<'_>,
    filter: &TransactionFilter,
    query: &MetricQuery,
) -> Result<Count, MetricsError> {
    let partial = async { Ok(count_partial_bands(&mut *acquire(pool).await?, filter).await?) };
    let (answer, partial) = try_join(metrics.query(query), partial).await?;
    Ok(partial + count_whole_bands(filter, &answer.rows))
}

/// Adds up the counts of the amount bands that lie within the filter.
pub(super) fn count_whole_bands(filter: &TransactionFilter, rows: &[MetricRow]) -> Count {
    let (bands, _) = filter.amounts.in_bands();
    let within = rows.iter().filter(|row| bands.iter().any(|band| band.as_str() == row.member));
    Count { total: payment_count(within), exact: true }
}

/// Counts the transactions in the partial bands at both ends of the range of the filter.
pub(super) async fn count_partial_bands(
    connection: &mut PgConnection,
    filter: &TransactionFilter,
) -> Result<Count, DbError> {
    let (_, partial) = filter.amounts.in_bands();
    let mut count = NONE;
    for amounts in partial {
        let filter = TransactionFilter { amounts, ..filter.clone() };
        count = count + search::count(&mut *connection, &filter, u64::MAX).await?;
    }
    Ok(count)
}

async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>, DbError> {
    Ok(pool.acquire().await?)
}

async fn list(
    pool: &PgPool,
    metrics: &CurrentMetrics<'_>,
    query: MetricQuery,
    (filter, window): (&TransactionFilter, &TransactionWindow),
    now: DateTime<Utc>,
) -> Result<Vec<FoundTransaction>, MetricsError> {
    // Of a day that is skipped, all rows must match.
    let can_skip = window.sort_by == SortBy::CreatedAt && filter.local_times.is_none();
    if !can_skip || window.page.offset <= MAX_ROW_SKIP {
        return Ok(search::list(pool, filter, window).await?);
    }
    let days = Days::new(filter, now);
    let answer = metrics.query(&MetricQuery { buckets: TimeBuckets::between(days.0.clone()), ..query }).await?;
    let (filter, window) = days.skip(&answer.rows, filter.clone(), *window);
    Ok(search::list(pool, &filter, &window).await?)
}

/// The boundaries of the days (UTC, as in the rollups) within the time range of a filter, including its ends.
struct Days(Vec<DateTime<Utc>>);

impl Days {
    fn new(filter: &TransactionFilter, now: DateTime<Utc>) -> Self {
        let TimeRange { from, until } = filter.time_range();
        let today = Width::Day.start(now);
        let days =
            (-SKIPPABLE_DAYS..=1).map(|day| today + TimeDelta::days(day)).filter(|day| *day > from && *day < until);
        Self(std::iter::once(from).chain(days).chain([until]).collect())
    }

    /// The same page of the same list, with the time range of the filter reduced to begin at the day of its first row.
    fn skip(
        &self,
        rows: &[MetricRow],
        mut filter: TransactionFilter,
        mut window: TransactionWindow,
    ) -> (TransactionFilter, TransactionWindow) {
        let mut counts = vec![0; self.0.len() - 1];
        for row in rows {
            if let Some(count) = usize::try_from(row.bucket).ok().and_then(|bucket| counts.get_mut(bucket)) {
                *count += row.measures.count;
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

    fn skip_days(order: SortOrder, offset: i64) -> (TransactionFilter, i64) {
        let filter = TransactionFilter {
            from: Some(time("2026-01-10T18:30:00Z")),
            until: Some(time("2026-01-13T18:30:00Z")),
            ..TransactionFilter::default()
        };
        let days = Days::new(&filter, time("2026-01-20T12:00:00Z"));
        assert_eq!(days.0.len(), 5);
        let row = |(bucket, count)| MetricRow {
            bucket,
            source: None,
            member: String::new(),
            status: Status::Success,
            currency: "INR".to_owned(),
            measures: Measures { count, ..Measures::default() },
        };
        // The second day is empty.
        let rows = [(0, 1), (0, 2), (2, 10), (3, 5)].map(row);
        let window = TransactionWindow {
            sort_by: SortBy::CreatedAt,
            order,
            page: PageWindow { after: None, offset, limit: 51 },
        };
        let (filter, window) = days.skip(&rows, filter, window);
        (filter, window.page.offset)
    }

    #[test]
    fn whole_days_are_skipped() {
        let (from, until) = (Some(time("2026-01-10T18:30:00Z")), Some(time("2026-01-13T18:30:00Z")));
        let skip = |order, offset| {
            let (filter, offset) = skip_days(order, offset);
            (filter.from, filter.until, offset)
        };
        let day = |text: &str| Some(time(text));
        assert_eq!(skip(SortOrder::Desc, 4), (from, until, 4));
        assert_eq!(skip(SortOrder::Desc, 5), (from, day("2026-01-13T00:00:00Z"), 0));
        assert_eq!(skip(SortOrder::Desc, 16), (from, day("2026-01-11T00:00:00Z"), 1));
        assert_eq!(skip(SortOrder::Asc, 2), (from, until, 2));
        assert_eq!(skip(SortOrder::Asc, 3), (day("2026-01-12T00:00:00Z"), until, 0));
        // Beyond the end.
        assert_eq!(skip(SortOrder::Desc, 100), (from, from, 82));
    }
}
