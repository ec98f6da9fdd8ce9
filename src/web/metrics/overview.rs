//! A period at a glance, beside the one before.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::measures::BySource;
use super::tally::{Share, Tally};
use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::{average, percent_change};
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_TIME, Tag};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time};
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

/// Payments by their state.
#[derive(Debug, Clone, Object)]
struct ByStatus {
    /// The money has moved.
    success: Share,
    /// It has not, and will not.
    failed: Share,
    /// Nothing is decided.
    pending: Share,
    /// The processor is at work.
    processing: Share,
    /// The money was given back.
    refunded: Share,
    /// The provider used a word that is not known.
    unknown: Share,
}

/// The metrics of a period at a glance.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsOverview", example)]
struct Overview {
    /// The days it is about.
    period: Period,
    /// How many payments.
    total_count: i64,
    /// The sum of their amounts in `currency`; null where they have several.
    total_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    total_amount_usd: Money,
    /// The sum of their fees in `currency`; null where they have several.
    total_fee: Option<Money>,
    /// The sum of their fees in US dollars, of those that have a rate.
    total_fee_usd: Money,
    /// How many payments have no rate, and so are not in the sums in US dollars.
    usd_missing_count: i64,
    /// The currency of all payments; null where they have several, or there are none.
    currency: Option<String>,
    /// The currency of the sums that always are there.
    display_currency: String,
    /// By state.
    by_status: ByStatus,
    /// By source.
    by_source: BySource,
    /// Successful payments of all, in percent; null where there are none.
    conversion_rate: Option<f64>,
    /// The mean amount in `currency`; null where there are several, or no payments.
    avg_ticket: Option<Money>,
    /// The mean amount in US dollars, of those that have a rate.
    avg_ticket_usd: Option<Money>,
    /// How many more payments than in as many days before, in percent; null where there were none.
    count_change_percent: Option<f64>,
    /// How much more money than in as many days before, in percent; of US dollars where there are several currencies.
    amount_change_percent: Option<f64>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl Overview {
    /// The overview of the current sums, against the previous ones.
    fn of(period: Period, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let current = Tally::of(sums.iter().filter(|sum| sum.bucket == TimeBuckets::LATER));
        let previous = Tally::of(sums.iter().filter(|sum| sum.bucket == TimeBuckets::EARLIER));
        let all = current.all();
        Self {
            period,
            total_count: all.count,
            total_amount: current.money(all.amount),
            total_amount_usd: Money(all.amount_usd),
            total_fee: current.money(all.fee),
            total_fee_usd: Money(all.fee_usd),
            usd_missing_count: all.usd_missing,
            currency: current.currency(),
            display_currency: "USD".to_owned(),
            by_status: ByStatus::of(&current),
            by_source: BySource::of(&current, sums.iter().filter(|sum| sum.bucket == TimeBuckets::LATER)),
            conversion_rate: current.conversion_rate(),
            avg_ticket: current.avg_ticket(),
            avg_ticket_usd: average(all.amount_usd, all.count - all.usd_missing).map(Money),
            count_change_percent: percent_change(all.count.into(), previous.count().into()),
            amount_change_percent: current.amount_change_percent(&previous),
            data_as_of,
        }
    }
}

impl ByStatus {
    fn of(current: &Tally) -> Self {
        let share = |status| current.share(current.in_state(status));
        Self {
            success: share(Status::Success),
            failed: share(Status::Failed),
            pending: share(Status::Pending),
            processing: share(Status::Processing),
            refunded: share(Status::Refunded),
            unknown: share(Status::Unknown),
        }
    }
}

/// The endpoint.
pub(in crate::web) struct OverviewApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl OverviewApi {
    /// MetricRow up a period
    ///
    /// Counts and sums of the payments created in the period, by status and by source, beside the change against as many
    /// days right before it. Amounts of several currencies are never added up: `total_amount` is null then, and
    /// `total_amount_usd` carries the sum.
    #[oai(path = "/metrics/overview", method = "get", operation_id = "getMetricsOverview")]
    async fn overview(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<Overview>, Fails> {
        let days = query.0.days(&state)?;
        let slots = TimeBuckets::two(days.previous().time_range(), days.time_range());
        let answer = state.metrics.query(&MetricQuery::new(query.0.filter(), slots).by_source().with_fees()).await?;
        Ok(Json(Overview::of(days.into(), &answer.rows, answer.as_of.into())))
    }
}

fn example_sums() -> Vec<MetricRow> {
    let sum = |bucket, source, status, count: i64| MetricRow {
        bucket,
        source: Some(source),
        member: String::new(),
        status,
        currency: "INR".to_owned(),
        measures: Measures {
            count,
            amount: Decimal::from(count * 1_500),
            amount_usd: Decimal::from(count * 18),
            fee: Decimal::from(count * 30),
            ..Measures::default()
        },
    };
    vec![
        sum(TimeBuckets::LATER, Source::Vima, Status::Success, 90),
        sum(TimeBuckets::LATER, Source::Vima, Status::Failed, 30),
        sum(TimeBuckets::LATER, Source::Payshack, Status::Success, 60),
        sum(TimeBuckets::EARLIER, Source::Vima, Status::Success, 150),
    ]
}

impl Example for Overview {
    fn example() -> Self {
        let period = Period { from: EXAMPLE_DAY, to: EXAMPLE_DAY, timezone: "Asia/Kolkata".to_owned() };
        let as_of = Some(Time(EXAMPLE_TIME));
        Self::of(period, &example_sums(), DataAsOf { vima: as_of, payshack: as_of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::format_decimal;

    fn overview(sums: &[MetricRow]) -> Overview {
        let period = Period { from: EXAMPLE_DAY, to: EXAMPLE_DAY, timezone: "UTC".to_owned() };
        Overview::of(period, sums, DataAsOf { vima: None, payshack: None })
    }

    fn text(money: Option<Money>) -> Option<String> {
        money.map(|Money(amount)| format_decimal(amount))
    }

    #[test]
    fn one_currency_is_summed_and_compared() {
        let overview = overview(&example_sums());
        assert_eq!(
            (overview.total_count, overview.by_status.success.count, overview.by_source.vima.count),
            (180, 150, 120)
        );
        assert_eq!(text(overview.total_amount).as_deref(), Some("270000.00"));
        assert_eq!(text(overview.avg_ticket).as_deref(), Some("1500.00"));
        assert_eq!(overview.currency.as_deref(), Some("INR"));
        assert_eq!(overview.conversion_rate, Some(83.33));
        assert_eq!((overview.count_change_percent, overview.amount_change_percent), (Some(20.0), Some(20.0)));
    }

    #[test]
    fn several_currencies_are_never_added_up() {
        let mut sums = example_sums();
        sums[2].currency = "EUR".to_owned();
        sums[2].measures.usd_missing = 60;
        sums[2].measures.amount_usd = Decimal::ZERO;
        let overview = overview(&sums);
        assert_eq!((text(overview.total_amount), text(overview.total_fee), overview.currency), (None, None, None));
        assert_eq!(text(overview.by_status.success.amount), None);
        assert_eq!(format_decimal(overview.total_amount_usd.0), "2160.00");
        assert_eq!(text(overview.avg_ticket_usd).as_deref(), Some("18.00"));
        assert_eq!((overview.usd_missing_count, overview.amount_change_percent), (60, Some(-20.0)));
    }

    #[test]
    fn of_nothing_there_is_no_rate() {
        let overview = overview(&[]);
        assert_eq!((overview.total_count, text(overview.total_amount).as_deref()), (0, Some("0.00")));
        assert_eq!(
            (overview.conversion_rate, overview.count_change_percent, overview.amount_change_percent),
            (None, None, None)
        );
        assert!(overview.avg_ticket.is_none() && overview.avg_ticket_usd.is_none() && overview.currency.is_none());
    }
}
