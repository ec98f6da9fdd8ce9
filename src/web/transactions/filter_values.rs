//! The values that filters may take: those that payments of the last 30 days have, the most frequent first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::domain::day::DayRange;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::transaction::{Kind, Source};
use crate::operations::metrics_cache::{MetricsAnswer, MetricsError};
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

/// How many days are looked at, today among them.
const DAYS: u64 = 30;

/// A value to choose.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
struct FilterValue {
    /// The value, as a filter takes it.
    value: String,
    /// How many payments have it.
    count: i64,
}

/// The values to choose from. What no payment has is left out, and so are payments that do not say theirs.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct FilterValues {
    /// The days whose payments are counted.
    period: Period,
    /// Who told of payments.
    sources: Vec<FilterValue>,
    /// Which way the money goes.
    kinds: Vec<FilterValue>,
    /// The merchants' projects.
    projects: Vec<FilterValue>,
    /// The states of payments.
    statuses: Vec<FilterValue>,
    /// Their currencies.
    currencies: Vec<FilterValue>,
    /// The payers' countries.
    countries: Vec<FilterValue>,
    /// How payments were made.
    payment_methods: Vec<FilterValue>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

/// The counts of the values that `value` gives to the sums of payments; nothing where it is empty.
fn values<'sums>(
    sums: impl IntoIterator<Item = &'sums MetricRow>,
    value: impl Fn(&'sums MetricRow) -> &'sums str,
) -> Vec<FilterValue> {
    let mut counts = BTreeMap::<&str, i64>::new();
    for sum in sums {
        *counts.entry(value(sum)).or_default() += sum.measures.count;
    }
    let mut values: Vec<FilterValue> = counts
        .into_iter()
        .filter(|(value, count)| !value.is_empty() && *count > 0)
        .map(|(value, count)| FilterValue { value: value.to_owned(), count })
        .collect();
    values.sort_by_key(|value| Reverse(value.count));
    values
}

async fn ask(state: &State, question: MetricQuery) -> Result<MetricsAnswer, MetricsError> {
    state.metrics.query(&question).await
}

/// The endpoint.
pub(in crate::web) struct FiltersApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl FiltersApi {
    /// List the values of filters
    ///
    /// Those that payments of the last 30 days have, in the zone of reports, with how many payments have each, the most frequent
    /// first.
    #[oai(path = "/filters", method = "get", operation_id = "getFilters")]
    async fn filters(&self, state: Data<&Arc<State>>, _viewer: Viewer) -> Result<Json<FilterValues>, Fails> {
        let days = DayRange::last(DAYS, state.clock.now(), state.report_timezone);
        let question = |filter| MetricQuery::new(filter, TimeBuckets::one(days.time_range())).counts();
        let all = || question(MetricFilter::default());
        let by = |dimension| all().by(dimension);
        let of_kind = |kind| question(MetricFilter { kinds: vec![kind], ..MetricFilter::default() });
        let answers = (
            ask(&state, all().by_source()),
            ask(&state, of_kind(Kind::Payin)),
            ask(&state, of_kind(Kind::Payout)),
            ask(&state, by(Dimension::Project)),
            ask(&state, by(Dimension::Country)),
            ask(&state, by(Dimension::PaymentMethod)),
        );
        let (all, payins, payouts, projects, countries, methods) =
            tokio::try_join!(answers.0, answers.1, answers.2, answers.3, answers.4, answers.5)?;
        let mut kinds = values(&*payins.rows, |_| Kind::Payin.as_str());
        kinds.extend(values(&*payouts.rows, |_| Kind::Payout.as_str()));
        kinds.sort_by_key(|value| Reverse(value.count));
        Ok(Json(FilterValues {
            period: days.into(),
            sources: values(&*all.rows, |sum| sum.source.map_or("", Source::as_str)),
            kinds,
            projects: values(&*projects.rows, |sum| &sum.member),
            statuses: values(&*all.rows, |sum| sum.status.as_str()),
            currencies: values(&*all.rows, |sum| &sum.currency),
            countries: values(&*countries.rows, |sum| &sum.member),
            payment_methods: values(&*methods.rows, |sum| &sum.member),
            data_as_of: all.as_of.into(),
        }))
    }
}

impl Example for FilterValues {
    fn example() -> Self {
        let value = |value: &str| vec![FilterValue { value: value.to_owned(), count: 120 }];
        Self {
            period: Period::example(),
            sources: value("vima"),
            kinds: value("payin"),
            projects: value("monetix"),
            statuses: value("success"),
            currencies: value("INR"),
            countries: value("IN"),
            payment_methods: value("UPI"),
            data_as_of: DataAsOf::example(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_is_first_and_what_is_not_said_is_no_choice() {
        let sum = |member: &str, count| {
            let mut sum = MetricRow { member: member.to_owned(), ..MetricRow::example() };
            sum.measures.count = count;
            sum
        };
        let sums = [sum("a", 1), sum("b", 2), sum("", 9), sum("c", 2), sum("a", 4)];
        let told: Vec<(String, i64)> =
            values(&sums, |sum| &sum.member).into_iter().map(|value| (value.value, value.count)).collect();
        assert_eq!(told, [("a".to_owned(), 5), ("b".to_owned(), 2), ("c".to_owned(), 2)]);
    }
}
