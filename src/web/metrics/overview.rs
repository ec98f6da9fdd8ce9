//! The overview of a period, with the change since the previous one.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::answer::{AnswerContext, AnswerSummary, answer};
use super::group_metrics::{BySource, Share};
use super::tally::Tally;
use super::{DataAsOf, Period};
use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::percent_change;
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Usd};
use crate::web::state::State;

/// Transactions by status.
#[derive(Debug, Clone, Object)]
struct ByStatus {
    /// Successful transactions: the money has moved.
    success: Share,
    /// Failed transactions: no money has moved, and none will.
    failed: Share,
    /// Pending transactions: nothing is decided yet.
    pending: Share,
    /// Transactions that the processor is working on.
    processing: Share,
    /// Refunded transactions: the money was returned.
    refunded: Share,
    /// Transactions whose status at the provider is not a known one.
    unknown: Share,
}

impl ByStatus {
    /// `link` leads to all transactions.
    fn new(whole: &Tally, link: &RowsLink) -> Self {
        let share = |status: Status| Share::new(whole, whole.measures(status), &link.with("status", status.as_str()));
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

/// The metrics of a period, with the change since the previous one.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsOverview {
    /// The days covered.
    period: Period,
    /// Number of transactions.
    total_count: i64,
    /// Sum of the amounts, in `currency`; null if the transactions have several currencies.
    total_amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    total_amount_usd: Usd,
    /// Sum of the fees, in `currency`; null if the transactions have several currencies.
    total_fee: Option<Money>,
    /// Sum of the fees in US dollars, without transactions that have no exchange rate.
    total_fee_usd: Usd,
    /// Number of transactions without an exchange rate, which the sums in US dollars leave out.
    usd_missing_count: i64,
    /// The currency of the transactions; null if they have several, or if there are none.
    currency: Option<String>,
    /// The currency of the sums that are never null: always `USD`.
    display_currency: String,
    /// The transactions by status.
    by_status: ByStatus,
    /// The transactions by source.
    by_source: BySource,
    /// Successful transactions in percent of all; 0 if there are none.
    conversion_rate: f64,
    /// Mean amount of a transaction, in `currency`; null if there are several currencies or no transactions.
    avg_ticket: Option<Money>,
    /// Mean amount in US dollars, without transactions that have no exchange rate; null if there are none.
    avg_ticket_usd: Option<Usd>,
    /// Change of the number of transactions against as many days right before, in percent; null if there were none.
    count_change_percent: Option<f64>,
    /// Change of the amount against as many days right before, in percent; of the amount in US dollars if there are several
    /// currencies. Null if that amount was 0.
    amount_change_percent: Option<f64>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsOverview {
    fn new(period: Period, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let current_rows = || rows.iter().filter(|row| row.bucket == TimeBuckets::LATER);
        let current = Tally::from_rows(current_rows());
        let previous = Tally::from_rows(rows.iter().filter(|row| row.bucket == TimeBuckets::EARLIER));
        let total = current.total();
        Self {
            period,
            total_count: total.count,
            total_amount: current.money(total.amount),
            total_amount_usd: Usd(total.amount_usd),
            total_fee: current.money(total.fee),
            total_fee_usd: Usd(total.fee_usd),
            usd_missing_count: total.usd_missing,
            currency: current.currency(),
            display_currency: "USD".to_owned(),
            by_status: ByStatus::new(&current, &context.link),
            by_source: BySource::new(&current, current_rows(), &context.link),
            // Pages of the replaced service read it as a number.
            conversion_rate: current.conversion_rate().unwrap_or_default(),
            avg_ticket: current.avg_ticket(),
            avg_ticket_usd: current.avg_ticket_usd(),
            count_change_percent: percent_change(total.count.into(), previous.count().into()),
            amount_change_percent: current.amount_change_percent(&previous),
            data_as_of,
            summary: context.summary_of(&current),
        }
    }
}

pub(in crate::web) struct OverviewApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl OverviewApi {
    /// Get metrics overview
    ///
    /// Counts and amounts of the transactions created in the period, by status and by source, and the change against as many
    /// days right before it. Amounts of several currencies are never added up: `total_amount` is then null, and
    /// `total_amount_usd` has the sum in US dollars.
    #[oai(path = "/metrics/overview", method = "get", operation_id = "getMetricsOverview")]
    async fn overview(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsOverview>, Fails> {
        let days = query.0.days(&state)?;
        let periods = TimeBuckets::two(days.previous().time_range(), days.time_range());
        let overview = |filter| MetricQuery::new(filter, periods).by_source().with_fees();
        let (answer, context) = answer(&state, &caller, &query.0, CountedTime::Days(days), overview).await?;
        Ok(Json(MetricsOverview::new(days.into(), &answer.rows, answer.as_of.into(), &context)))
    }
}

fn example_rows() -> Vec<MetricRow> {
    let row = |bucket, source, status, count: i64| MetricRow {
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
        row(TimeBuckets::LATER, Source::Vima, Status::Success, 90),
        row(TimeBuckets::LATER, Source::Vima, Status::Failed, 30),
        row(TimeBuckets::LATER, Source::Payshack, Status::Success, 60),
        row(TimeBuckets::EARLIER, Source::Vima, Status::Success, 150),
    ]
}

impl Example for MetricsOverview {
    fn example() -> Self {
        Self::new(Period::example(), &example_rows(), DataAsOf::example(), &AnswerContext::example())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::format_decimal;

    fn overview(rows: &[MetricRow]) -> MetricsOverview {
        MetricsOverview::new(Period::example(), rows, DataAsOf::example(), &AnswerContext::example())
    }

    fn text(money: Option<Money>) -> Option<String> {
        money.map(|Money(amount)| format_decimal(amount))
    }

    #[test]
    fn amounts_of_one_currency_are_added_up_and_compared() {
        let overview = overview(&example_rows());
        assert_eq!(
            (overview.total_count, overview.by_status.success.count, overview.by_source.vima.count),
            (180, 150, 120)
        );
        assert_eq!(text(overview.total_amount).as_deref(), Some("270000.00"));
        assert_eq!(text(overview.avg_ticket).as_deref(), Some("1500.00"));
        assert_eq!(overview.currency.as_deref(), Some("INR"));
        assert_eq!((overview.conversion_rate, overview.total_count), (83.33, 180));
        assert_eq!((overview.count_change_percent, overview.amount_change_percent), (Some(20.0), Some(20.0)));
    }

    #[test]
    fn amounts_of_several_currencies_are_not_added_up() {
        let mut rows = example_rows();
        rows[2].currency = "EUR".to_owned();
        rows[2].measures.usd_missing = 60;
        rows[2].measures.amount_usd = Decimal::ZERO;
        let overview = overview(&rows);
        assert_eq!((text(overview.total_amount), text(overview.total_fee), overview.currency), (None, None, None));
        assert_eq!(text(overview.by_status.success.amount), None);
        assert_eq!(format_decimal(overview.total_amount_usd.0), "2160.00");
        assert_eq!(text(overview.avg_ticket_usd.map(|Usd(amount)| Money(amount))).as_deref(), Some("18.00"));
        assert_eq!((overview.usd_missing_count, overview.amount_change_percent), (60, Some(-20.0)));
    }

    #[test]
    fn no_transactions_have_a_conversion_rate_of_0_and_no_changes() {
        let overview = overview(&[]);
        assert_eq!((overview.total_count, text(overview.total_amount).as_deref()), (0, Some("0.00")));
        assert_eq!(
            (overview.conversion_rate, overview.count_change_percent, overview.amount_change_percent),
            (0.0, None, None)
        );
        assert!(overview.avg_ticket.is_none() && overview.avg_ticket_usd.is_none() && overview.currency.is_none());
    }
}
