//! Bars of the largest projects, countries, merchants, payment methods, statuses or sources, as charts of the replaced service
//! request them.
//!
//! Each is also in an endpoint of its own with all measures; this one has a single value in one shape for all.

use std::cmp::Reverse;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::answer::{AnswerContext, AnswerSummary, answer};
use super::heatmap_axes::HeatmapMetric;
use super::tally::{Tally, non_empty};
use super::{DataAsOf, Period};
use crate::domain::metrics::query::{Dimension, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::percent;
use crate::domain::string_enum::string_enum;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::Tag;
use crate::web::http::path::{Path, Segment};
use crate::web::http::query::Query;
use crate::web::http::schema::{Figure, named_enum};
use crate::web::state::State;

const LIMITS: std::ops::RangeInclusive<u32> = 1..=100;
const DEFAULT_LIMIT: u32 = 10;

string_enum! {
    /// What a bar stands for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum BarType {
        Project = "project",
        Country = "country",
        Merchant = "merchant",
        PaymentMethod = "payment_method",
        Status = "status",
        Source = "source",
    }
}

impl BarType {
    fn query(self, query: MetricQuery) -> MetricQuery {
        match self {
            Self::Project => query.by(Dimension::Project),
            Self::Country => query.by(Dimension::Country),
            Self::Merchant => query.by(Dimension::Merchant),
            Self::PaymentMethod => query.by(Dimension::PaymentMethod),
            Self::Status => query,
            Self::Source => query.by_source(),
        }
    }

    fn label(self, row: &MetricRow) -> &str {
        match self {
            Self::Status => row.status.as_str(),
            Self::Source => row.source.map_or("", |source| source.as_str()),
            Self::Project | Self::Country | Self::Merchant | Self::PaymentMethod => &row.member,
        }
    }

    /// The part of `link` that a bar stands for.
    fn link(self, link: &RowsLink, label: &str) -> RowsLink {
        match self {
            Self::Project => link.with_member("project", label),
            Self::Country => link.with_member("country", label),
            Self::Merchant => link.with_member("merchant_id", label),
            Self::PaymentMethod => link.with_member("payment_method", label),
            Self::Status => link.with("status", label),
            Self::Source => link.with("source", label),
        }
    }
}

impl Segment for BarType {
    const NAME: &'static str = "type";
}

request_fields! {
    /// Which bars are returned.
    struct BarsQuery {
        /// The value of the bars; default `amount`.
        metric: Option<HeatmapMetric>,
        /// Number of bars, 1 to 100; default 10.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Option<u32>,
    }
    check: BarsQuery::check
}

impl BarsQuery {
    fn check(&self, fields: &mut Fields) {
        if self.limit.is_some_and(|limit| !LIMITS.contains(&limit)) {
            fields.error("limit", format!("must be from {} to {}", LIMITS.start(), LIMITS.end()));
        }
    }
}

/// A bar.
#[derive(Debug, Clone, Object)]
struct Bar {
    /// The project, country, merchant, payment method, status or source; null if the provider does not report it.
    label: Option<String>,
    /// An amount (decimal string), a count, or a conversion rate in percent.
    value: Option<Figure>,
    /// The value in percent of that of all bars, also of those that the limit leaves out; of a conversion rate, the rate itself.
    percentage: f64,
    /// Number of transactions.
    count: i64,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
}

/// The largest values of a dimension.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct HorizontalBars {
    /// The days covered.
    period: Period,
    /// What a bar stands for.
    #[oai(rename = "type")]
    bar_type: BarType,
    /// The value of the bars.
    metric: HeatmapMetric,
    /// The maximum number of bars.
    limit: u32,
    /// The currency of the amounts: that of all transactions, or USD if they have several. Null if the values are not amounts,
    /// or if there are no transactions.
    currency: Option<String>,
    /// The bars, the largest value first.
    bars: Vec<Bar>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl HorizontalBars {
    fn new(
        period: Period,
        (bar_type, metric, limit): (BarType, HeatmapMetric, u32),
        rows: &[MetricRow],
        (data_as_of, context): (DataAsOf, &AnswerContext),
    ) -> Self {
        let whole = Tally::from_rows(rows);
        let value = |tally: &Tally| metric.value(tally, &whole);
        let mut bars: Vec<(&str, Tally)> = Tally::by_key(rows, |row| bar_type.label(row)).into_iter().collect();
        bars.sort_by_cached_key(|(_, tally)| Reverse((value(tally).map(|(number, _)| number), tally.count())));
        let total = match metric {
            HeatmapMetric::Conversion => Decimal::ONE_HUNDRED,
            HeatmapMetric::Amount | HeatmapMetric::Count => value(&whole).map(|(number, _)| number).unwrap_or_default(),
        };
        let bar = |(label, tally): &(&str, Tally)| {
            let (number, shown) = value(tally).unzip();
            Bar {
                label: non_empty(label),
                value: shown,
                percentage: number.and_then(|number| percent(number, total)).unwrap_or_default(),
                count: tally.count(),
                rows_url: bar_type.link(&context.link, label).to(tally.count()),
            }
        };
        let currency = if whole.is_in_one_currency() { whole.currency() } else { Some("USD".to_owned()) };
        Self {
            period,
            bar_type,
            metric,
            limit,
            currency: currency.filter(|_| metric == HeatmapMetric::Amount),
            bars: bars.iter().take(limit as usize).map(bar).collect(),
            data_as_of,
            summary: context.summary_of(&whole),
        }
    }
}

pub(in crate::web) struct BarsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl BarsApi {
    /// Get horizontal bars
    ///
    /// The projects, countries, merchants, payment methods, statuses or sources with the largest amount, number of transactions
    /// or conversion rate. Amounts of several currencies are converted to US dollars.
    #[oai(path = "/metrics/horizontal-bars/:type", method = "get", operation_id = "getMetricsHorizontalBars")]
    async fn bars(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// What a bar stands for.
        #[oai(name = "type")]
        bar_type: Path<BarType>,
        query: Query<MetricsQuery>,
        bars: Query<BarsQuery>,
    ) -> Result<Json<HorizontalBars>, Fails> {
        let (bar_type, metric) = (bar_type.0, bars.0.metric.unwrap_or(HeatmapMetric::Amount));
        let days = query.0.days(&state)?;
        let by_type = |filter| bar_type.query(MetricQuery::new(filter, TimeBuckets::one(days.time_range())));
        let (answer, context) = answer(&state, &caller, &query.0, CountedTime::Days(days), by_type).await?;
        let shown = (bar_type, metric, bars.0.limit.unwrap_or(DEFAULT_LIMIT));
        Ok(Json(HorizontalBars::new(days.into(), shown, &answer.rows, (answer.as_of.into(), &context))))
    }
}

impl Example for HorizontalBars {
    fn example() -> Self {
        let shown = (BarType::Project, HeatmapMetric::Amount, DEFAULT_LIMIT);
        let about = (DataAsOf::example(), &AnswerContext::example());
        Self::new(Period::example(), shown, &[MetricRow::example()], about)
    }
}

named_enum!(BarType, "BarType", BarType::ALL, "What a bar stands for.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::status::Status;
    use crate::web::http::schema::Money;

    fn row(member: &str, status: Status, count: i64, amount: i64) -> MetricRow {
        let mut row = MetricRow { member: member.to_owned(), status, ..MetricRow::example() };
        (row.measures.count, row.measures.amount) = (count, amount.into());
        row
    }

    fn bars(metric: HeatmapMetric, limit: u32) -> HorizontalBars {
        let rows = [
            row("a", Status::Success, 1, 600),
            row("a", Status::Failed, 3, 0),
            row("b", Status::Success, 2, 300),
            row("", Status::Success, 2, 100),
        ];
        let about = (DataAsOf::example(), &AnswerContext::example());
        HorizontalBars::new(Period::example(), (BarType::Project, metric, limit), &rows, about)
    }

    #[test]
    fn largest_values_come_first_with_their_share_of_all() {
        let shown = |response: HorizontalBars| -> Vec<(Option<String>, Option<Figure>, f64, i64)> {
            response.bars.into_iter().map(|bar| (bar.label, bar.value, bar.percentage, bar.count)).collect()
        };
        let named = |name: &str| Some(name.to_owned());
        let money = |amount: i64| Some(Figure::Money(Money(amount.into())));
        assert_eq!(
            shown(bars(HeatmapMetric::Amount, 2)),
            [(named("a"), money(600), 60.0, 4), (named("b"), money(300), 30.0, 2)]
        );
        assert_eq!(shown(bars(HeatmapMetric::Count, 1)), [(named("a"), Some(Figure::Count(4)), 50.0, 4)]);
        let rates: Vec<f64> = bars(HeatmapMetric::Conversion, 10).bars.iter().map(|bar| bar.percentage).collect();
        assert_eq!(rates, [100.0, 100.0, 25.0]);
    }
}
