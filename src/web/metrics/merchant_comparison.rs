//! A merchant compared with itself.

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::Object;
use poem_openapi::types::Example;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::Interval;
use super::answer::AnswerContext;
use super::group_metrics::GroupMetrics;
use super::tally::Tally;
use crate::domain::metrics::own_weeks::OwnWeeks;
use crate::domain::metrics::query::MetricRow;
use crate::domain::rate::{average, percent_change, percentage_points};
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::web::filters::rows_link::RowsLink;
use crate::web::http::openapi::EXAMPLE_TIME;
use crate::web::http::schema::{Money, Usd};

/// The mean of the earlier periods.
#[derive(Debug, Clone, Object)]
struct OwnMean {
    /// Mean number of transactions of a period.
    total_count: Option<f64>,
    /// Mean amount of a period; null if the transactions of all compared periods have several currencies.
    total_amount: Option<Money>,
    /// Mean amount of a period in US dollars, without transactions that have no exchange rate.
    total_amount_usd: Option<Usd>,
    /// Successful transactions of all earlier periods in percent of all; null if there are none.
    conversion_rate: Option<f64>,
}

/// A merchant compared with the same days of the four periods before. Means and changes are null if the merchant had no
/// transactions before the current period.
#[derive(Debug, Clone, Object)]
pub(super) struct MerchantComparison {
    /// The current period so far.
    period: Interval,
    /// The metrics of the current period so far.
    current: GroupMetrics,
    /// The earlier periods, the latest first: four, or fewer if the merchant's first transaction is later than their end.
    earlier_periods: Vec<Interval>,
    /// The mean of the earlier periods.
    usual: OwnMean,
    /// Change of the number of transactions against the mean, in percent.
    count_change_percent: Option<f64>,
    /// Change of the amount against the mean, in percent; of the amount in US dollars if there are several currencies.
    amount_change_percent: Option<f64>,
    /// Change of the conversion rate, in percentage points.
    conversion_rate_change: Option<f64>,
}

impl MerchantComparison {
    /// The buckets of `rows` are the indexes of `weeks.all()`; `link` leads to the merchant's transactions. `first` is about the time of the merchant's first transaction.
    pub(super) fn new(weeks: &OwnWeeks, first: Option<DateTime<Utc>>, rows: &[MetricRow], link: &RowsLink) -> Self {
        let counted = |range: &&TimeRange| first.is_some_and(|first| first < range.until);
        let earlier: Vec<TimeRange> = weeks.earlier.iter().filter(counted).copied().collect();
        let periods = i64::try_from(earlier.len()).unwrap_or_default();
        let current = Tally::from_rows(rows.iter().filter(|row| row.bucket == 0));
        let before = Tally::from_rows(rows.iter().filter(|row| row.bucket > 0));
        let whole = Tally::from_rows(rows);
        let sums = before.total();
        let count = average(sums.count.into(), periods);
        let amount = average(before.comparable_amount(&whole), periods);
        Self {
            period: weeks.current.into(),
            current: GroupMetrics::new(&current, &link.within(weeks.current)),
            earlier_periods: earlier.into_iter().map(Interval::from).collect(),
            usual: OwnMean {
                total_count: count.and_then(|mean| mean.to_f64()),
                total_amount: average(sums.amount, periods).and_then(|mean| whole.money(mean)),
                total_amount_usd: average(sums.amount_usd, periods).map(Usd),
                conversion_rate: before.conversion_rate(),
            },
            count_change_percent: count.and_then(|mean| percent_change(current.count().into(), mean)),
            amount_change_percent: amount.and_then(|mean| percent_change(current.comparable_amount(&whole), mean)),
            conversion_rate_change: percentage_points(conversion(&current), conversion(&before)),
        }
    }
}

fn conversion(tally: &Tally) -> (Decimal, Decimal) {
    (tally.measures(Status::Success).count.into(), tally.count().into())
}

impl Example for MerchantComparison {
    fn example() -> Self {
        let day = |back: i64| {
            let until = EXAMPLE_TIME - TimeDelta::days(back);
            TimeRange { from: until - TimeDelta::hours(10), until }
        };
        let weeks = OwnWeeks { current: day(0), earlier: [7, 14, 21, 28].map(day) };
        let rows: Vec<MetricRow> = [120, 100, 110, 90, 80]
            .into_iter()
            .zip(0..)
            .map(|(count, bucket)| {
                let mut row = MetricRow { bucket, ..MetricRow::example() };
                (row.measures.count, row.measures.amount) = (count, (count * 1_500).into());
                row
            })
            .collect();
        Self::new(&weeks, Some(EXAMPLE_TIME - TimeDelta::days(60)), &rows, &AnswerContext::example().link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bucket: i32, status: Status, count: i64) -> MetricRow {
        let mut row = MetricRow { bucket, status, ..MetricRow::example() };
        (row.measures.count, row.measures.amount) = (count, (count * 100).into());
        row
    }

    fn weeks() -> OwnWeeks {
        let day = |back: i64| {
            let until = EXAMPLE_TIME - TimeDelta::days(back);
            TimeRange { from: until - TimeDelta::days(1), until }
        };
        OwnWeeks { current: day(0), earlier: [7, 14, 21, 28].map(day) }
    }

    #[test]
    fn current_period_is_compared_with_the_mean_of_the_earlier_ones() {
        let rows = [
            row(0, Status::Success, 6),
            row(0, Status::Failed, 6),
            row(1, Status::Success, 9),
            row(2, Status::Success, 6),
            row(4, Status::Failed, 5),
        ];
        let link = AnswerContext::example().link;
        let compared = MerchantComparison::new(&weeks(), Some(EXAMPLE_TIME - TimeDelta::days(90)), &rows, &link);
        assert_eq!((compared.current.total_count, compared.earlier_periods.len()), (12, 4));
        assert_eq!((compared.usual.total_count, compared.usual.conversion_rate), (Some(5.0), Some(75.0)));
        assert_eq!(compared.usual.total_amount, Some(Money(500.into())));
        assert_eq!((compared.count_change_percent, compared.amount_change_percent), (Some(140.0), Some(140.0)));
        assert_eq!(compared.conversion_rate_change, Some(-25.0));
    }

    #[test]
    fn periods_before_the_first_transaction_are_left_out_of_the_mean() {
        let rows = [row(0, Status::Success, 6), row(1, Status::Success, 4), row(2, Status::Success, 2)];
        let link = AnswerContext::example().link;
        let compared = MerchantComparison::new(&weeks(), Some(EXAMPLE_TIME - TimeDelta::days(15)), &rows, &link);
        assert_eq!((compared.earlier_periods.len(), compared.usual.total_count), (2, Some(3.0)));
        let new = MerchantComparison::new(&weeks(), Some(EXAMPLE_TIME - TimeDelta::hours(1)), &rows[..1], &link);
        assert_eq!((new.earlier_periods.len(), new.usual.total_count, new.count_change_percent), (0, None, None));
    }
}
