//! The values that the filters can take: those of the transactions of the last 30 days, the most frequent first.

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
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

/// Number of days counted, including today.
const DAYS: u64 = 30;

/// A value of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
struct FilterValue {
    /// The value, as the filter takes it.
    value: String,
    /// Number of transactions with this value.
    count: i64,
}

/// The values of the filters. Values without transactions are left out, and transactions without a value are not counted.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct FilterValues {
    /// The days whose transactions are counted.
    period: Period,
    /// Values of `source`: the providers.
    sources: Vec<FilterValue>,
    /// Values of `kind`: pay-in or pay-out.
    kinds: Vec<FilterValue>,
    /// Values of `project`: the merchants' projects.
    projects: Vec<FilterValue>,
    /// Values of `status`.
    statuses: Vec<FilterValue>,
    /// Values of `currency` (ISO 4217 codes).
    currencies: Vec<FilterValue>,
    /// Values of `country`: the payers' countries.
    countries: Vec<FilterValue>,
    /// Values of `payment_method`, as the providers name them.
    payment_methods: Vec<FilterValue>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

/// The number of transactions per value, the most frequent first; rows whose value is empty are left out.
fn values<'rows>(
    rows: impl IntoIterator<Item = &'rows MetricRow>,
    value: impl Fn(&'rows MetricRow) -> &'rows str,
) -> Vec<FilterValue> {
    let mut counts = BTreeMap::<&str, i64>::new();
    for row in rows {
        *counts.entry(value(row)).or_default() += row.measures.count;
    }
    let mut values: Vec<FilterValue> = counts
        .into_iter()
        .filter(|(value, count)| !value.is_empty() && *count > 0)
        .map(|(value, count)| FilterValue { value: value.to_owned(), count })
        .collect();
    values.sort_by_key(|value| Reverse(value.count));
    values
}

async fn run(state: &State, query: MetricQuery) -> Result<MetricsAnswer, MetricsError> {
    state.metrics.query(&query).await
}

pub(in crate::web) struct FiltersApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl FiltersApi {
    /// List filter values
    ///
    /// The values that transactions of the last 30 days have (days in `REPORT_TIMEZONE`), with the number of transactions of each,
    /// the most frequent first; for a key with a project scope, those of its projects. A value that contains a comma is sent as `project=a,b&project=`.
    #[oai(path = "/filters", method = "get", operation_id = "getFilters")]
    async fn filters(&self, state: Data<&Arc<State>>, caller: Caller) -> Result<Json<FilterValues>, Fails> {
        let days = DayRange::last(DAYS, state.clock.now(), state.report_timezone);
        let query = |filter| MetricQuery::new(filter, TimeBuckets::one(days.time_range())).counts();
        let visible = MetricFilter { projects: caller.projects(&[])?, ..MetricFilter::default() };
        let all = || query(visible.clone());
        let by = |dimension| all().by(dimension);
        let of_kind = |kind| query(MetricFilter { kinds: vec![kind], ..visible.clone() });
        let answers = (
            run(&state, all().by_source()),
            run(&state, of_kind(Kind::Payin)),
            run(&state, of_kind(Kind::Payout)),
            run(&state, by(Dimension::Project)),
            run(&state, by(Dimension::Country)),
            run(&state, by(Dimension::PaymentMethod)),
        );
        let (all, payins, payouts, projects, countries, methods) =
            tokio::try_join!(answers.0, answers.1, answers.2, answers.3, answers.4, answers.5)?;
        let mut kinds = values(&*payins.rows, |_| Kind::Payin.as_str());
        kinds.extend(values(&*payouts.rows, |_| Kind::Payout.as_str()));
        kinds.sort_by_key(|value| Reverse(value.count));
        Ok(Json(FilterValues {
            period: days.into(),
            sources: values(&*all.rows, |row| row.source.map_or("", Source::as_str)),
            kinds,
            projects: values(&*projects.rows, |row| &row.member),
            statuses: values(&*all.rows, |row| row.status.as_str()),
            currencies: values(&*all.rows, |row| &row.currency),
            countries: values(&*countries.rows, |row| &row.member),
            payment_methods: values(&*methods.rows, |row| &row.member),
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
    fn values_are_sorted_by_frequency_without_the_empty_one() {
        let row = |member: &str, count| {
            let mut row = MetricRow { member: member.to_owned(), ..MetricRow::example() };
            row.measures.count = count;
            row
        };
        let rows = [row("a", 1), row("b", 2), row("", 9), row("c", 2), row("a", 4)];
        let values: Vec<(String, i64)> =
            values(&rows, |row| &row.member).into_iter().map(|value| (value.value, value.count)).collect();
        assert_eq!(values, [("a".to_owned(), 5), ("b".to_owned(), 2), ("c".to_owned(), 2)]);
    }
}
