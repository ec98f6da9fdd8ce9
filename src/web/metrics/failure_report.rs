//! The response with failures: rows of the database with their shares and changes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::TimeDelta;
use poem_openapi::Object;
use poem_openapi::types::Example;
use rust_decimal::Decimal;

use super::answer::{AnswerContext, AnswerSummary};
use super::currency_metrics::CurrencyMetrics;
use super::shown_status::ShownStatus;
use super::tally::Tally;
use super::{DataAsOf, Interval, Period};
use crate::db::metrics::original_statuses::{FailureGroup, FailureRow};
use crate::domain::day::DayRange;
use crate::domain::masking::PiiAccess;
use crate::domain::metrics::amount_band::AmountBand;
use crate::domain::metrics::failure_periods::FailurePeriods;
use crate::domain::metrics::query::{Depth, MetricRow, payment_count};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::{percent, percent_change};
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::domain::transaction::Source;
use crate::web::filters::rows_link::RowsLink;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_TIME};
use crate::web::http::schema::{Money, Usd, named_enum};

string_enum! {
    /// What failures are counted by, besides the provider's status.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(super) enum FailureDimension {
        #[default]
        Project = "project",
        PaymentMethod = "payment_method",
        AmountBand = "amount_band",
        /// The hour of the day in the time zone.
        Hour = "hour",
    }
}

impl FailureDimension {
    pub(super) fn group(self) -> FailureGroup {
        match self {
            Self::Project => FailureGroup::Project,
            Self::PaymentMethod => FailureGroup::PaymentMethod,
            Self::AmountBand => FailureGroup::AmountBand,
            Self::Hour => FailureGroup::Hour,
        }
    }

    /// The name of a group in the response.
    fn label(self, group: &str) -> String {
        match self {
            Self::AmountBand => band(group).map_or_else(|| group.to_owned(), |band| band.label().to_owned()),
            Self::Project | Self::PaymentMethod | Self::Hour => group.to_owned(),
        }
    }

    /// The part of `link` that a group stands for. Every payment has an amount and an hour.
    fn link(self, link: &RowsLink, group: Option<&str>) -> RowsLink {
        let group = group.unwrap_or_default();
        match self {
            Self::Project => link.with_member("project", group),
            Self::PaymentMethod => link.with_member("payment_method", group),
            Self::AmountBand => band(group).map_or_else(|| link.clone(), |band| link.with_amounts(band.range())),
            Self::Hour => link.with("hour", group),
        }
    }
}

/// The band with this name in the database.
fn band(name: &str) -> Option<AmountBand> {
    AmountBand::all().find(|band| band.as_str() == name)
}

/// Failures of a group that have the same status of the provider.
#[derive(Debug, Clone, Object)]
struct Failure {
    /// The project, the payment method, the range of amounts (as in the amount distribution) or the hour of the day (0 to 23);
    /// null if the provider does not report it.
    group: Option<String>,
    /// The provider.
    source: Source,
    /// The status as the provider names it; null if it does not report one.
    original_status: Option<String>,
    /// Number of failures.
    count: i64,
    /// These failures in percent of all; null if there are none.
    percentage_of_total: Option<f64>,
    /// These failures in percent of those of the group; null if there are none.
    percentage_of_group: Option<f64>,
    /// The currency of `amount`; null if the failures have several, or if there are none.
    currency: Option<String>,
    /// Sum of the amounts, in `currency`.
    amount: Option<Money>,
    /// Sum of the amounts in US dollars, without failures that have no exchange rate.
    amount_usd: Usd,
    /// Number of failures of the previous period.
    previous_count: i64,
    /// Change against the previous period, in percent; null if it had none.
    count_change_percent: Option<f64>,
    /// The usual number of failures: the mean of the same hours of the same weekdays of the four weeks before.
    usual_count: f64,
    /// Change against the usual number, in percent; null if that is 0.
    usual_change_percent: Option<f64>,
    /// The sums by currency.
    by_currency: Vec<CurrencyMetrics>,
    /// The path and query of the list of these failures; null if there are none, and for a viewer if personal data is masked in
    /// the status.
    rows_url: Option<String>,
}

/// Failures, compared with the previous period and with what is usual.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct MetricsFailures {
    /// The days covered.
    period: Period,
    /// What failures are counted by, besides the provider's status.
    by: FailureDimension,
    /// The time covered, so far.
    current: Interval,
    /// The period that it is compared with: as many days right before, up to the same local time.
    previous: Interval,
    /// The four weeks whose means are usual.
    usual: Interval,
    /// Number of transactions of any status.
    total_count: u64,
    /// Number of failures.
    failed_count: i64,
    /// Failures in percent of all transactions; null if there are none.
    failure_rate: Option<f64>,
    /// Number of failures of the previous period.
    previous_failed_count: i64,
    /// Failures in percent of all transactions of the previous period; null if there were none.
    previous_failure_rate: Option<f64>,
    /// The usual number of failures.
    usual_failed_count: f64,
    /// The failures, the most frequent first. Those that only occurred before have the count 0.
    failures: Vec<Failure>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    /// Of the failures, without those of the previous period.
    #[oai(flatten)]
    summary: AnswerSummary,
}

/// The rows of one item of the response, which differ in their currency, or in what is masked.
#[derive(Default)]
struct Sums {
    tally: Tally,
    previous: i64,
    usual: f64,
    has_masked_name: bool,
}

impl Sums {
    fn add(&mut self, row: &FailureRow) {
        // A row without current failures has a currency, but no amount in it.
        if row.measures.count != 0 {
            let metric_row = MetricRow {
                bucket: 0,
                source: Some(row.source),
                member: String::new(),
                status: Status::Failed,
                currency: row.currency.clone(),
                measures: row.measures,
            };
            self.tally.merge(&Tally::from_rows([&metric_row]));
        }
        self.previous += row.previous_count;
        self.usual += row.usual_count;
    }
}

type ItemKey<'rows> = (Option<&'rows str>, Source, Option<String>);

/// What a response depends on besides the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailureReport<'a> {
    pub(super) by: FailureDimension,
    pub(super) periods: &'a FailurePeriods,
    pub(super) pii_access: PiiAccess,
    /// Of the failures of the current period.
    pub(super) context: &'a AnswerContext,
}

impl FailureReport<'_> {
    /// `all` are the transactions of any status.
    pub(super) fn response(
        self,
        period: Period,
        (rows, all): (&[FailureRow], &[MetricRow]),
        data_as_of: DataAsOf,
    ) -> MetricsFailures {
        let (mut items, mut groups) = (BTreeMap::<ItemKey<'_>, Sums>::new(), BTreeMap::<Option<&str>, i64>::new());
        for row in rows {
            let ShownStatus { name, is_masked } = ShownStatus::new(row.original_status.as_deref(), self.pii_access);
            let sums = items.entry((row.group.as_deref(), row.source, name)).or_default();
            sums.add(row);
            sums.has_masked_name |= is_masked;
            *groups.entry(row.group.as_deref()).or_default() += row.measures.count;
        }
        let mut whole = Tally::default();
        for sums in items.values() {
            whole.merge(&sums.tally);
        }
        let failed_count: i64 = groups.values().sum();
        let previous_failed_count: i64 = items.values().map(|sums| sums.previous).sum();
        let total = |bucket| payment_count(all.iter().filter(|row| row.bucket == bucket));
        let (total_count, previous_total) = (total(TimeBuckets::LATER), total(TimeBuckets::EARLIER));
        let usual_failed_count = items.values().map(|sums| sums.usual).sum();
        let mut failures: Vec<Failure> = items
            .into_iter()
            .map(|(key, sums)| {
                let of_group = groups.get(&key.0).copied().unwrap_or_default();
                self.failure(key, &sums, (failed_count, of_group))
            })
            .collect();
        failures.sort_by_key(|item| Reverse((item.count, item.previous_count)));
        MetricsFailures {
            period,
            by: self.by,
            current: self.periods.compared.current.into(),
            previous: self.periods.compared.previous.into(),
            usual: self.periods.baseline.into(),
            total_count,
            failed_count,
            failure_rate: percent(failed_count.into(), total_count.into()),
            previous_failed_count,
            previous_failure_rate: percent(previous_failed_count.into(), previous_total.into()),
            usual_failed_count: rounded(usual_failed_count),
            failures,
            data_as_of,
            summary: self.context.summary_of(&whole),
        }
    }

    fn failure(self, key: ItemKey<'_>, sums: &Sums, (all, of_group): (i64, i64)) -> Failure {
        let (group, source, original_status) = key;
        let total = sums.tally.total();
        let count = Decimal::from(total.count);
        let link = self.by.link(&self.context.link, group).with("source", source.as_str());
        let link = link.with_member("original_status", original_status.as_deref().unwrap_or_default());
        Failure {
            group: group.map(|group| self.by.label(group)),
            source,
            original_status,
            count: total.count,
            percentage_of_total: percent(count, all.into()),
            percentage_of_group: percent(count, of_group.into()),
            currency: sums.tally.currency(),
            amount: sums.tally.money(total.amount),
            amount_usd: Usd(total.amount_usd),
            previous_count: sums.previous,
            count_change_percent: percent_change(count, sums.previous.into()),
            usual_count: rounded(sums.usual),
            usual_change_percent: Decimal::try_from(sums.usual).ok().and_then(|usual| percent_change(count, usual)),
            by_currency: CurrencyMetrics::list(&sums.tally, Depth::Amounts),
            rows_url: link.to(total.count).filter(|_| !sums.has_masked_name),
        }
    }
}

/// To two decimals, as all rates.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

impl Example for MetricsFailures {
    fn example() -> Self {
        let periods = FailurePeriods::new(
            DayRange::single(EXAMPLE_DAY, chrono_tz::UTC),
            EXAMPLE_TIME + TimeDelta::days(9),
            false,
        );
        let row = |original_status: &str, previous_count, usual_count| FailureRow {
            group: Some("monetix".to_owned()),
            source: Source::Vima,
            original_status: Some(original_status.to_owned()),
            currency: "INR".to_owned(),
            measures: MetricRow::example().measures,
            previous_count,
            usual_count,
        };
        let all = [TimeBuckets::EARLIER, TimeBuckets::LATER].map(|bucket| {
            let mut row = MetricRow { bucket, ..MetricRow::example() };
            row.measures.count = 800;
            row
        });
        let rows = [row("fail", 80, 96.0), row("failed", 100, 110.5)];
        let report = FailureReport {
            by: FailureDimension::Project,
            periods: &periods,
            pii_access: PiiAccess::Full,
            context: &AnswerContext::example(),
        };
        report.response(Period::example(), (&rows, &all), DataAsOf::example())
    }
}

named_enum!(FailureDimension, "FailureDimension", FailureDimension::ALL, "What failures are counted by.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metrics::cell::Measures;

    fn row(group: Option<&str>, original: &str, currency: &str, counts: (i64, i64, f64)) -> FailureRow {
        FailureRow {
            group: group.map(str::to_owned),
            source: Source::Vima,
            original_status: Some(original.to_owned()),
            currency: currency.to_owned(),
            measures: Measures { count: counts.0, amount: (counts.0 * 10).into(), ..Measures::default() },
            previous_count: counts.1,
            usual_count: counts.2,
        }
    }

    fn response(by: FailureDimension, rows: &[FailureRow]) -> MetricsFailures {
        let periods = FailurePeriods::new(DayRange::single(EXAMPLE_DAY, chrono_tz::UTC), EXAMPLE_TIME, false);
        let mut all = MetricRow { bucket: TimeBuckets::LATER, ..MetricRow::example() };
        all.measures.count = 40;
        let context = AnswerContext::example();
        let report = FailureReport { by, periods: &periods, pii_access: PiiAccess::Masked, context: &context };
        report.response(Period::example(), (rows, &[all]), DataAsOf::example())
    }

    #[test]
    fn failures_have_shares_and_changes() {
        let response = response(
            FailureDimension::Project,
            &[
                row(Some("a"), "fail", "INR", (6, 3, 4.0)),
                row(Some("a"), "failed", "INR", (2, 0, 0.0)),
                row(Some("b"), "fail", "INR", (1, 2, 0.25)),
                row(Some("b"), "fail", "EUR", (1, 0, 0.0)),
                row(None, "expired", "INR", (0, 5, 0.0)),
            ],
        );
        let shown: Vec<_> = response
            .failures
            .iter()
            .map(|item| (item.group.as_deref(), item.count, item.percentage_of_total, item.percentage_of_group))
            .collect();
        assert_eq!(
            shown,
            [
                (Some("a"), 6, Some(60.0), Some(75.0)),
                (Some("b"), 2, Some(20.0), Some(100.0)),
                (Some("a"), 2, Some(20.0), Some(25.0)),
                (None, 0, Some(0.0), None),
            ]
        );
        let changes: Vec<_> =
            response.failures.iter().map(|item| (item.count_change_percent, item.usual_change_percent)).collect();
        assert_eq!(changes, [(Some(100.0), Some(50.0)), (Some(0.0), Some(700.0)), (None, None), (Some(-100.0), None)]);
        assert_eq!((response.failures[1].amount, response.failures[0].amount), (None, Some(Money(60.into()))));
        assert_eq!((response.failed_count, response.failure_rate, response.total_count), (10, Some(25.0), 40));
        assert_eq!((response.previous_failed_count, response.previous_failure_rate), (10, None));
        assert!((response.usual_failed_count - 4.25).abs() < f64::EPSILON);
    }

    #[test]
    fn ranges_of_amounts_have_their_labels() {
        let response = response(FailureDimension::AmountBand, &[row(Some("3"), "fail", "INR", (1, 0, 0.0))]);
        assert_eq!(response.failures[0].group.as_deref(), Some("1000-5000"));
        let url = response.failures[0].rows_url.as_deref().expect("a link");
        assert!(url.contains("&min_amount=1000.00&amount_below=5000.00&source=vima&original_status=fail&"), "{url}");
    }

    #[test]
    fn masked_statuses_have_no_link() {
        let names = ["blocked 9198765432", "blocked 9198765433", "blocked"];
        let rows = names.map(|name| row(None, name, "INR", (1, 0, 0.0)));
        let response = response(FailureDimension::Project, &rows);
        let shown: Vec<_> = response
            .failures
            .iter()
            .map(|item| (item.original_status.as_deref(), item.count, item.rows_url.is_some()))
            .collect();
        assert_eq!(shown, [(Some("blocked ***"), 2, false), (Some("blocked"), 1, true)]);
    }
}
