//! What payments sum up to by the payer's country, by their state, and by how they were paid.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::measures::PaymentMeasures;
use super::tally::{Tally, largest_first, told};
use crate::domain::metrics::query::{Dimension, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::percent;
use crate::domain::status::Status;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

/// What the payments of a country's payers sum up to.
#[derive(Debug, Clone, Object)]
struct CountryMetrics {
    /// The country as payments say it, two letters of ISO 3166 or three; null where they do not.
    country: Option<String>,
    /// Its short English name in ISO 3166; null where the code is not known there.
    country_name: Option<String>,
    /// How many of all payments they are, in percent.
    percentage_of_total: Option<f64>,
    #[oai(flatten)]
    measures: PaymentMeasures,
}

/// What payments sum up to by country.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsByCountry", example)]
struct ByCountry {
    /// The days it is about.
    period: Period,
    /// The countries, the largest amount first: in the currency of all payments, or in US dollars where there are several.
    countries: Vec<CountryMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl ByCountry {
    fn of(period: Period, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let row = |country: &str, percentage_of_total, tally: &Tally| CountryMetrics {
            country: told(country),
            country_name: country_name(country).map(str::to_owned),
            percentage_of_total,
            measures: tally.into(),
        };
        Self { period, countries: rows(sums, |sum| sum.member.as_str(), row), data_as_of }
    }
}

/// The short English name of a country. Both kinds of code are on Redis, in whichever case.
fn country_name(code: &str) -> Option<&'static str> {
    let code = code.to_ascii_uppercase();
    let known = match code.len() {
        2 => rust_iso3166::from_alpha2(&code),
        3 => rust_iso3166::from_alpha3(&code),
        _ => None,
    };
    known.map(|country| country.name)
}

/// What the payments in a state sum up to.
#[derive(Debug, Clone, Object)]
struct StatusMetrics {
    /// The state.
    status: Status,
    /// How many of all payments they are, in percent.
    percentage_of_total: Option<f64>,
    #[oai(flatten)]
    measures: PaymentMeasures,
}

/// What payments sum up to by state.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsByStatus", example)]
struct ByStatus {
    /// The days it is about.
    period: Period,
    /// The states that there are payments in, the largest amount first: in the currency of all payments, or in US dollars
    /// where there are several.
    statuses: Vec<StatusMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl ByStatus {
    fn of(period: Period, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let row = |status, percentage_of_total, tally: &Tally| StatusMetrics {
            status,
            percentage_of_total,
            measures: tally.into(),
        };
        Self { period, statuses: rows(sums, |sum| sum.status, row), data_as_of }
    }
}

/// What the payments of a method sum up to.
#[derive(Debug, Clone, Object)]
struct PaymentMethodMetrics {
    /// The method; null where payments do not say theirs.
    payment_method: Option<String>,
    /// How many of all payments they are, in percent.
    percentage_of_total: Option<f64>,
    #[oai(flatten)]
    measures: PaymentMeasures,
}

/// What payments sum up to by method.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsByPaymentMethod", example)]
struct ByPaymentMethod {
    /// The days it is about.
    period: Period,
    /// The methods, the largest amount first: in the currency of all payments, or in US dollars where there are several.
    payment_methods: Vec<PaymentMethodMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl ByPaymentMethod {
    fn of(period: Period, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let row = |method: &str, percentage_of_total, tally: &Tally| PaymentMethodMetrics {
            payment_method: told(method),
            percentage_of_total,
            measures: tally.into(),
        };
        Self { period, payment_methods: rows(sums, |sum| sum.member.as_str(), row), data_as_of }
    }
}

/// A row for each key, with how many percent of all payments it has.
fn rows<'sums, K: Ord, R>(
    sums: &'sums [MetricRow],
    key: impl Fn(&'sums MetricRow) -> K,
    row: impl Fn(K, Option<f64>, &Tally) -> R,
) -> Vec<R> {
    let total = Tally::of(sums).count();
    let part = |tally: &Tally| percent(tally.count().into(), total.into());
    largest_first(sums, key).into_iter().map(|(key, tally)| row(key, part(&tally), &tally)).collect()
}

/// The endpoints.
pub(in crate::web) struct DimensionsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl DimensionsApi {
    /// MetricRow up a period by country
    ///
    /// By the payer's country, the largest amount first. A country whose payments have several currencies has no amount, only
    /// one in US dollars.
    #[oai(path = "/metrics/by-country", method = "get", operation_id = "getMetricsByCountry")]
    async fn by_country(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<ByCountry>, Fails> {
        let days = query.0.days(&state)?;
        let question = MetricQuery::new(query.0.filter(), TimeBuckets::one(days.time_range())).by(Dimension::Country);
        let answer = state.metrics.query(&question).await?;
        Ok(Json(ByCountry::of(days.into(), &answer.rows, answer.as_of.into())))
    }

    /// MetricRow up a period by status
    ///
    /// The largest amount first; a status that no payment has is left out.
    #[oai(path = "/metrics/by-status", method = "get", operation_id = "getMetricsByStatus")]
    async fn by_status(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<ByStatus>, Fails> {
        let days = query.0.days(&state)?;
        let answer =
            state.metrics.query(&MetricQuery::new(query.0.filter(), TimeBuckets::one(days.time_range()))).await?;
        Ok(Json(ByStatus::of(days.into(), &answer.rows, answer.as_of.into())))
    }

    /// MetricRow up a period by payment method
    ///
    /// By the provider's word for how a payment was made, the largest amount first.
    #[oai(path = "/metrics/by-payment-method", method = "get", operation_id = "getMetricsByPaymentMethod")]
    async fn by_payment_method(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<ByPaymentMethod>, Fails> {
        let days = query.0.days(&state)?;
        let question =
            MetricQuery::new(query.0.filter(), TimeBuckets::one(days.time_range())).by(Dimension::PaymentMethod);
        let answer = state.metrics.query(&question).await?;
        Ok(Json(ByPaymentMethod::of(days.into(), &answer.rows, answer.as_of.into())))
    }
}

fn example_sum(member: &str) -> MetricRow {
    MetricRow { member: member.to_owned(), ..MetricRow::example() }
}

impl Example for ByCountry {
    fn example() -> Self {
        Self::of(Period::example(), &[example_sum("IN")], DataAsOf::example())
    }
}

impl Example for ByStatus {
    fn example() -> Self {
        Self::of(Period::example(), &[MetricRow::example()], DataAsOf::example())
    }
}

impl Example for ByPaymentMethod {
    fn example() -> Self {
        Self::of(Period::example(), &[example_sum("UPI")], DataAsOf::example())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_have_names_where_their_codes_are_known() {
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
    fn every_row_says_how_much_of_all_it_is() {
        let mut sums = [example_sum("IN"), example_sum("NPL"), example_sum("")];
        for (count, sum) in [5, 2, 1].into_iter().zip(&mut sums) {
            sum.measures.count = count;
            sum.measures.amount = (10 * count).into();
        }
        let answer = ByCountry::of(Period::example(), &sums, DataAsOf::example());
        let told = answer
            .countries
            .iter()
            .map(|row| (row.country.as_deref(), row.country_name.as_deref(), row.percentage_of_total));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (Some("IN"), Some("India"), Some(62.5)),
                (Some("NPL"), Some("Nepal"), Some(25.0)),
                (None, None, Some(12.5))
            ]
        );
        let answer = ByStatus::of(Period::example(), &sums, DataAsOf::example());
        assert_eq!((answer.statuses.len(), answer.statuses[0].measures.total_count), (1, 8));
    }
}
