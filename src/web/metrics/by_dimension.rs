//! Metrics by the payer's country, by status and by payment method.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::answer::{AnswerContext, AnswerSummary};
use super::group_metrics::GroupMetrics;
use super::tally::{Tally, largest_first, non_empty};
use super::{DataAsOf, Period, query_period};
use crate::domain::metrics::query::{Dimension, MetricRow};
use crate::domain::rate::percent;
use crate::domain::status::Status;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::RowsLink;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Usd};
use crate::web::state::State;

/// The metrics of a country.
#[derive(Debug, Clone, Object)]
struct CountryMetrics {
    /// The payer's country as the provider reports it, an ISO 3166 code of two or three letters; null if the provider does not
    /// report it.
    country: Option<String>,
    /// The country's short English name in ISO 3166; null if the code is not in ISO 3166.
    country_name: Option<String>,
    /// The country's transactions in percent of all.
    percentage_of_total: Option<f64>,
    /// The country's amount in percent of that of all; in US dollars if the transactions have several currencies. 0 if there is
    /// no amount.
    percentage_of_amount: f64,
    #[oai(flatten)]
    metrics: GroupMetrics,
}

/// Metrics by country.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsByCountry {
    /// The days covered.
    period: Period,
    /// The countries, the largest amount first; by amount in US dollars if the transactions have several currencies.
    countries: Vec<CountryMetrics>,
    /// Number of transactions of all countries.
    total_count: i64,
    /// Sum of the amounts of all countries; null if the transactions have several currencies.
    total_amount: Option<Money>,
    /// Sum of the amounts of all countries in US dollars, without transactions that have no exchange rate.
    total_amount_usd: Usd,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsByCountry {
    fn new(period: Period, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let whole = Tally::from_rows(rows);
        let (total, amount) = (whole.total(), whole.comparable_amount(&whole));
        let item = |country: &str, percentage_of_total, tally: &Tally| CountryMetrics {
            country: non_empty(country),
            country_name: country_name(country).map(str::to_owned),
            percentage_of_total,
            percentage_of_amount: percent(tally.comparable_amount(&whole), amount).unwrap_or_default(),
            metrics: GroupMetrics::new(tally, &context.link.with_member("country", country)),
        };
        Self {
            period,
            countries: items(rows, |row| row.member.as_str(), item),
            total_count: total.count,
            total_amount: whole.money(total.amount),
            total_amount_usd: Usd(total.amount_usd),
            data_as_of,
            summary: context.summary(rows),
        }
    }
}

/// The short English name of a country. Providers report both kinds of code, in upper and lower case.
fn country_name(code: &str) -> Option<&'static str> {
    let code = code.to_ascii_uppercase();
    let country = match code.len() {
        2 => rust_iso3166::from_alpha2(&code),
        3 => rust_iso3166::from_alpha3(&code),
        _ => None,
    };
    country.map(|country| country.name)
}

/// The metrics of a status.
#[derive(Debug, Clone, Object)]
struct StatusMetrics {
    /// The status.
    status: Status,
    /// The transactions with this status in percent of all.
    percentage_of_total: Option<f64>,
    #[oai(flatten)]
    metrics: GroupMetrics,
}

/// Metrics by status.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsByStatus {
    /// The days covered.
    period: Period,
    /// The statuses that transactions have, the largest amount first; by amount in US dollars if the transactions have several
    /// currencies.
    statuses: Vec<StatusMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsByStatus {
    fn new(period: Period, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let item = |status: Status, percentage_of_total, tally: &Tally| StatusMetrics {
            status,
            percentage_of_total,
            metrics: GroupMetrics::new(tally, &context.link.with("status", status.as_str())),
        };
        Self { period, statuses: items(rows, |row| row.status, item), data_as_of, summary: context.summary(rows) }
    }
}

/// The metrics of a payment method.
#[derive(Debug, Clone, Object)]
pub(super) struct PaymentMethodMetrics {
    /// The method as the provider names it; null if the provider does not report it.
    payment_method: Option<String>,
    /// The method's transactions in percent of all.
    percentage_of_total: Option<f64>,
    #[oai(flatten)]
    metrics: GroupMetrics,
}

impl PaymentMethodMetrics {
    /// The methods of `rows`, to which `link` leads, the largest amount first.
    pub(super) fn list(rows: &[MetricRow], link: &RowsLink) -> Vec<Self> {
        let item = |method: &str, percentage_of_total, tally: &Tally| Self {
            payment_method: non_empty(method),
            percentage_of_total,
            metrics: GroupMetrics::new(tally, &link.with_member("payment_method", method)),
        };
        items(rows, |row| row.member.as_str(), item)
    }
}

/// Metrics by payment method.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsByPaymentMethod {
    /// The days covered.
    period: Period,
    /// The payment methods, the largest amount first; by amount in US dollars if the transactions have several currencies.
    payment_methods: Vec<PaymentMethodMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsByPaymentMethod {
    fn new(period: Period, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        Self {
            period,
            payment_methods: PaymentMethodMetrics::list(rows, &context.link),
            data_as_of,
            summary: context.summary(rows),
        }
    }
}

/// An item per key, made of the key, its transactions in percent of all, and its tally.
fn items<'rows, K: Ord, I>(
    rows: &'rows [MetricRow],
    key: impl Fn(&'rows MetricRow) -> K,
    item: impl Fn(K, Option<f64>, &Tally) -> I,
) -> Vec<I> {
    let total = Tally::from_rows(rows).count();
    let percentage = |tally: &Tally| percent(tally.count().into(), total.into());
    largest_first(rows, key).into_iter().map(|(key, tally)| item(key, percentage(&tally), &tally)).collect()
}

pub(in crate::web) struct DimensionsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl DimensionsApi {
    /// Get metrics by country
    ///
    /// Counts and amounts by the payer's country, the largest amount first. A country whose transactions have several
    /// currencies has amounts in US dollars only.
    #[oai(path = "/metrics/by-country", method = "get", operation_id = "getMetricsByCountry")]
    async fn by_country(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsByCountry>, Fails> {
        let (period, answer, context) = query_period(&state, &caller, &query.0, Some(Dimension::Country)).await?;
        Ok(Json(MetricsByCountry::new(period, &answer.rows, answer.as_of.into(), &context)))
    }

    /// Get metrics by status
    ///
    /// Counts and amounts by status, the largest amount first. Statuses without transactions are left out.
    #[oai(path = "/metrics/by-status", method = "get", operation_id = "getMetricsByStatus")]
    async fn by_status(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsByStatus>, Fails> {
        let (period, answer, context) = query_period(&state, &caller, &query.0, None).await?;
        Ok(Json(MetricsByStatus::new(period, &answer.rows, answer.as_of.into(), &context)))
    }

    /// Get metrics by payment method
    ///
    /// Counts and amounts by payment method, as the provider names it, the largest amount first.
    #[oai(path = "/metrics/by-payment-method", method = "get", operation_id = "getMetricsByPaymentMethod")]
    async fn by_payment_method(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsByPaymentMethod>, Fails> {
        let (period, answer, context) = query_period(&state, &caller, &query.0, Some(Dimension::PaymentMethod)).await?;
        Ok(Json(MetricsByPaymentMethod::new(period, &answer.rows, answer.as_of.into(), &context)))
    }
}

fn example_row(member: &str) -> MetricRow {
    MetricRow { member: member.to_owned(), ..MetricRow::example() }
}

impl Example for MetricsByCountry {
    fn example() -> Self {
        Self::new(Period::example(), &[example_row("IN")], DataAsOf::example(), &AnswerContext::example())
    }
}

impl Example for MetricsByStatus {
    fn example() -> Self {
        Self::new(Period::example(), &[MetricRow::example()], DataAsOf::example(), &AnswerContext::example())
    }
}

impl Example for MetricsByPaymentMethod {
    fn example() -> Self {
        Self::new(Period::example(), &[example_row("UPI")], DataAsOf::example(), &AnswerContext::example())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_country_codes_have_names() {
        for (code, name) in [
            ("IN", Some("India")),
            ("in", Some("India")),
            ("IND", Some("India")),
            ("USA", Some("United States of America")),
            ("XX", None),
            ("India", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(country_name(code), name, "{code}");
        }
    }

    #[test]
    fn items_have_their_percentage_of_all_transactions() {
        let mut rows = [example_row("IN"), example_row("NPL"), example_row("")];
        for (count, row) in [5, 2, 1].into_iter().zip(&mut rows) {
            row.measures.count = count;
            row.measures.amount = (10 * count).into();
        }
        let response = MetricsByCountry::new(Period::example(), &rows, DataAsOf::example(), &AnswerContext::example());
        let countries = response
            .countries
            .iter()
            .map(|item| (item.country.as_deref(), item.country_name.as_deref(), item.percentage_of_total));
        assert_eq!(
            countries.collect::<Vec<_>>(),
            [
                (Some("IN"), Some("India"), Some(62.5)),
                (Some("NPL"), Some("Nepal"), Some(25.0)),
                (None, None, Some(12.5))
            ]
        );
        let of_amount: Vec<f64> = response.countries.iter().map(|item| item.percentage_of_amount).collect();
        assert_eq!((of_amount, response.total_count), (vec![62.5, 25.0, 12.5], 8));
        assert_eq!(response.total_amount, Some(Money(80.into())));
        let response = MetricsByStatus::new(Period::example(), &rows, DataAsOf::example(), &AnswerContext::example());
        assert_eq!((response.statuses.len(), response.statuses[0].metrics.total_count), (1, 8));
    }
}
