//! Filters of transactions as SQL conditions, and the rollup query that counts what they find.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};

use crate::db::transactions::filter;
use crate::db::transactions::filter::{UNUSUAL_OUTCOME, narrowest_first, push_values, usual_success};
use crate::db::types::column;
use crate::domain::metrics::amount_band::AmountRange;
use crate::domain::metrics::local_times::LocalTimes;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::domain::transaction::Source;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionFilter {
    /// Conditions that the metrics support too.
    pub dimensions: MetricFilter,
    /// What the provider calls the status; the empty one means none, and an empty list every one. In no cell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub original_statuses: Vec<String>,
    pub amounts: AmountRange,
    /// Created at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Created before this time.
    pub until: Option<DateTime<Utc>>,
    /// Created at these times of the day or the week. Only together with `from` and `until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_times: Option<LocalTimes>,
    pub search: Option<Search>,
}

/// Text that an id, or a personal field, contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// At least three characters, without control characters.
    pub text: String,
    /// Whether to search the payer's email address, phone number and name too.
    pub personal: bool,
}

impl TransactionFilter {
    #[must_use]
    pub fn rollup_count(&self) -> RollupCount {
        let query = self.metric_query();
        if self.search.is_some() || !self.original_statuses.is_empty() || query.facet().is_none() {
            return RollupCount::UpperBound(widened(query));
        }
        if self.amounts.is_all() {
            return RollupCount::Exact(query);
        }
        let by_band = query.clone().by(Dimension::AmountBand);
        if by_band.facet().is_some() { RollupCount::ByAmountBand(by_band) } else { RollupCount::UpperBound(query) }
    }

    /// Counts the transactions that match all conditions except `original_statuses`, `amounts` and `search`.
    #[must_use]
    pub fn metric_query(&self) -> MetricQuery {
        let range = self.time_range();
        let buckets = self.local_times.map_or_else(|| TimeBuckets::one(range), |times| times.buckets(range));
        MetricQuery::new(self.dimensions.clone(), buckets).counts()
    }

    /// The parts of the time range that `local_times` means; `None` if all of it is meant.
    pub(in crate::db) fn time_parts(&self) -> Option<Vec<TimeRange>> {
        Some(self.local_times?.ranges(self.time_range()))
    }

    /// Whether the filter has statuses of the provider, and everything that it finds is in the index that knows them.
    fn is_unusual_outcome(&self) -> bool {
        let statuses = &self.dimensions.statuses;
        let is_usual = |name: &String| Source::ALL.into_iter().any(|source| usual_success(source) == name);
        let has_no_success = !statuses.is_empty() && !statuses.contains(&Status::Success);
        let has_no_usual_name = !self.original_statuses.iter().any(is_usual);
        !self.original_statuses.is_empty() && (has_no_success || has_no_usual_name)
    }

    /// The range of creation times.
    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        let TimeRange { from, until } = TimeRange::ALL;
        TimeRange { from: self.from.unwrap_or(from), until: self.until.unwrap_or(until) }
    }

    /// Adds all conditions except `search`.
    pub(in crate::db) fn push_all_but_search(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_time(query);
        self.push_all_but_time(query);
    }

    /// Adds all conditions except `search` and those on the time of creation.
    pub(in crate::db) fn push_all_but_time(&self, query: &mut QueryBuilder<Postgres>) {
        push_amounts(self.amounts, query);
        filter::push(query, &self.dimensions);
        push_values(query, "original_status", &self.original_statuses);
    }

    pub(in crate::db) fn push_time(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(from) = self.from {
            query.push(" AND created_at >= ").push_bind(from);
        }
        if let Some(until) = self.until {
            query.push(" AND created_at < ").push_bind(until);
        }
        if let Some(parts) = self.time_parts() {
            query.push(" AND EXISTS (SELECT FROM ");
            push_time_parts(query, &parts);
            query.push(" WHERE created_at >= part.since AND created_at < part.before)");
        }
    }

    /// Adds the condition on time, and of the others the one whose index is usually the most selective.
    pub(in crate::db) fn push_narrowest(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_time(query);
        if self.is_unusual_outcome() {
            query.push(" AND ").push(UNUSUAL_OUTCOME);
        }
        match narrowest_first(&self.dimensions).into_iter().find(|(_, values)| !values.is_empty()) {
            Some((column, values)) => push_values(query, column, values),
            None => push_amounts(self.amounts, query),
        }
    }
}

/// What the rollups know about the number of transactions that a filter finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollupCount {
    /// The number that this query counts.
    Exact(MetricQuery),
    /// The numbers that this query counts in the bands that lie completely within the amounts; transactions in the rest of the
    /// amounts must be counted.
    ByAmountBand(MetricQuery),
    /// At most the number that this query counts.
    UpperBound(MetricQuery),
}

/// Removes conditions until a facet supports the rest.
fn widened(mut query: MetricQuery) -> MetricQuery {
    if query.facet().is_none() && !query.filter.merchant_ids.is_empty() {
        query.filter.countries.clear();
        query.filter.payment_methods.clear();
    } else if query.facet().is_none() {
        query.filter.payment_methods.clear();
    }
    query
}

/// Adds a row per part of a time range, named `part`.
pub(super) fn push_time_parts(query: &mut QueryBuilder<Postgres>, parts: &[TimeRange]) {
    query.push("UNNEST(").push_bind(column(parts, |part| part.from)).push("::timestamptz[], ");
    query.push_bind(column(parts, |part| part.until)).push("::timestamptz[]) AS part (since, before)");
}

fn push_amounts(amounts: AmountRange, query: &mut QueryBuilder<Postgres>) {
    for (bound, comparison) in [(amounts.least, ">="), (amounts.most, "<="), (amounts.below, "<")] {
        if let Some(bound) = bound {
            query.push(format!(" AND amount {comparison} ")).push_bind(bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    #[test]
    fn rollups_count_exactly_by_band_or_at_most() {
        let some = || vec!["a".to_owned()];
        let all = MetricFilter::default;
        let by = |dimensions| TransactionFilter { dimensions, ..TransactionFilter::default() };
        let project = by(MetricFilter { projects: some(), ..all() });
        assert!(matches!(TransactionFilter::default().rollup_count(), RollupCount::Exact(_)));
        assert!(matches!(project.rollup_count(), RollupCount::Exact(query) if query.filter.projects == some()));
        let amounts = AmountRange { least: Some(Decimal::ONE), ..AmountRange::default() };
        assert!(matches!(
            TransactionFilter { amounts, ..TransactionFilter::default() }.rollup_count(),
            RollupCount::ByAmountBand(_)
        ));
        let search = Some(Search { text: "abc".to_owned(), personal: false });
        for (filter, left) in [
            (TransactionFilter { amounts, ..project.clone() }, [1, 0, 0, 0]),
            (TransactionFilter { search, ..project.clone() }, [1, 0, 0, 0]),
            (TransactionFilter { original_statuses: some(), ..project.clone() }, [1, 0, 0, 0]),
            (
                by(MetricFilter { countries: some(), payment_methods: some(), ..project.dimensions.clone() }),
                [1, 0, 1, 0],
            ),
            (by(MetricFilter { countries: some(), payment_methods: some(), ..all() }), [0, 0, 1, 0]),
            (by(MetricFilter { merchant_ids: some(), countries: some(), ..project.dimensions }), [1, 1, 0, 0]),
        ] {
            let RollupCount::UpperBound(query) = filter.rollup_count() else { panic!("{filter:?} is counted exactly") };
            let widened = &query.filter;
            let lists = [&widened.projects, &widened.merchant_ids, &widened.countries, &widened.payment_methods];
            assert_eq!(lists.map(Vec::len), left, "{filter:?}");
            assert!(query.facet().is_some(), "{filter:?}");
        }
    }

    #[test]
    fn index_of_outcomes_has_everything_but_usual_successes() {
        let cases: [(&[Status], &[&str], bool); 8] = [
            (&[], &[], false),
            (&[Status::Failed], &[], false),
            (&[], &["fail"], true),
            (&[], &["fail", ""], true),
            (&[], &["fail", "Success"], false),
            (&[Status::Success], &["SUCCESS"], true),
            (&[Status::Success, Status::Failed], &["success"], false),
            (&[Status::Failed], &["success"], true),
        ];
        for (statuses, names, expected) in cases {
            let filter = TransactionFilter {
                dimensions: MetricFilter { statuses: statuses.to_vec(), ..MetricFilter::default() },
                original_statuses: names.iter().map(|name| (*name).to_owned()).collect(),
                ..TransactionFilter::default()
            };
            assert_eq!(filter.is_unusual_outcome(), expected, "{statuses:?} {names:?}");
        }
    }
}
