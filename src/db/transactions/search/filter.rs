//! Filters of transactions as SQL conditions, and the rollup query that counts what they find.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};

use crate::db::transactions::filter;
use crate::db::transactions::filter::{narrowest_first, push_list};
use crate::domain::metrics::amount_band::AmountRange;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::time_range::TimeRange;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionFilter {
    /// Conditions that the metrics support too.
    pub dimensions: MetricFilter,
    pub amounts: AmountRange,
    /// Created at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Created before this time.
    pub until: Option<DateTime<Utc>>,
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
        if self.search.is_some() || query.facet().is_none() {
            return RollupCount::UpperBound(widened(query));
        }
        if self.amounts.is_all() {
            return RollupCount::Exact(query);
        }
        let by_band = query.clone().by(Dimension::AmountBand);
        if by_band.facet().is_some() { RollupCount::ByAmountBand(by_band) } else { RollupCount::UpperBound(query) }
    }

    /// Counts the transactions that match all conditions except `amounts` and `search`.
    #[must_use]
    pub fn metric_query(&self) -> MetricQuery {
        MetricQuery::new(self.dimensions.clone(), TimeBuckets::one(self.time_range())).counts()
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
        push_amounts(self.amounts, query);
        filter::push(query, &self.dimensions);
    }

    pub(in crate::db) fn push_time(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(from) = self.from {
            query.push(" AND created_at >= ").push_bind(from);
        }
        if let Some(until) = self.until {
            query.push(" AND created_at < ").push_bind(until);
        }
    }

    /// Adds the condition on time, and of the others the one whose index is usually the most selective.
    pub(in crate::db) fn push_narrowest(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_time(query);
        match narrowest_first(&self.dimensions).into_iter().find(|(_, values)| !values.is_empty()) {
            Some((column, values)) => push_list(query, column, values),
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
}
