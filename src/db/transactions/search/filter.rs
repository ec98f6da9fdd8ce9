//! Which payments are looked for, and how that is said to the database.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};

use crate::db::transactions::filter;
use crate::db::transactions::filter::{narrowest_first, push_list};
use crate::domain::metrics::amount_band::AmountRange;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::time_range::TimeRange;

/// Which payments are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionFilter {
    /// By what the metrics know of them.
    pub dimensions: MetricFilter,
    /// Their amounts.
    pub amounts: AmountRange,
    /// Created then or later.
    pub from: Option<DateTime<Utc>>,
    /// Created before.
    pub until: Option<DateTime<Utc>>,
    /// A part of one of their ids, or of what they say of the payer.
    pub search: Option<Search>,
}

/// A part of a text that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// The part: at least three characters, none of them a control character.
    pub text: String,
    /// Whether it is also looked for in what is personal.
    pub personal: bool,
}

impl TransactionFilter {
    /// What the metrics can say of how many payments it finds.
    #[must_use]
    pub fn rollup_count(&self) -> RollupCount {
        let question = self.metric_query();
        if self.search.is_some() || question.facet().is_none() {
            return RollupCount::UpperBound(widened(question));
        }
        if self.amounts.is_all() {
            return RollupCount::Exact(question);
        }
        let by_band = question.clone().by(Dimension::AmountBand);
        if by_band.facet().is_some() { RollupCount::ByAmountBand(by_band) } else { RollupCount::UpperBound(question) }
    }

    /// The question after all that the metrics know of what it looks for.
    #[must_use]
    pub fn metric_query(&self) -> MetricQuery {
        MetricQuery::new(self.dimensions.clone(), TimeBuckets::one(self.time_range())).counts()
    }

    /// The time of their creation.
    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        let TimeRange { from, until } = TimeRange::ALL;
        TimeRange { from: self.from.unwrap_or(from), until: self.until.unwrap_or(until) }
    }

    /// Narrows `query` to the payments that it finds, but for the text that they contain.
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

    /// Narrows `query` by time and by that one of the other filters that has an index and, as a rule, finds the fewest.
    pub(in crate::db) fn push_narrowest(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_time(query);
        match narrowest_first(&self.dimensions).into_iter().find(|(_, values)| !values.is_empty()) {
            Some((column, values)) => push_list(query, column, values),
            None => push_amounts(self.amounts, query),
        }
    }
}

/// What the metrics can say of how many payments a filter finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollupCount {
    /// As many as this question's answer says.
    Exact(MetricQuery),
    /// As many as this question's answer says of the bands that lie within the amounts as a whole, and those of the rest.
    ByAmountBand(MetricQuery),
    /// No more than that.
    UpperBound(MetricQuery),
}

/// The question without what no facet knows beside the rest.
fn widened(mut question: MetricQuery) -> MetricQuery {
    if question.facet().is_none() && !question.filter.merchant_ids.is_empty() {
        question.filter.countries.clear();
        question.filter.payment_methods.clear();
    } else if question.facet().is_none() {
        question.filter.payment_methods.clear();
    }
    question
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
    fn the_metrics_say_how_many_or_at_most_how_many() {
        let some = || vec!["a".to_owned()];
        let all = MetricFilter::default;
        let of = |dimensions| TransactionFilter { dimensions, ..TransactionFilter::default() };
        let project = of(MetricFilter { projects: some(), ..all() });
        assert!(matches!(TransactionFilter::default().rollup_count(), RollupCount::Exact(_)));
        assert!(matches!(project.rollup_count(), RollupCount::Exact(question) if question.filter.projects == some()));
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
                of(MetricFilter { countries: some(), payment_methods: some(), ..project.dimensions.clone() }),
                [1, 0, 1, 0],
            ),
            (of(MetricFilter { countries: some(), payment_methods: some(), ..all() }), [0, 0, 1, 0]),
            (of(MetricFilter { merchant_ids: some(), countries: some(), ..project.dimensions }), [1, 1, 0, 0]),
        ] {
            let RollupCount::UpperBound(question) = filter.rollup_count() else { panic!("{filter:?} is known") };
            let asked = &question.filter;
            let lists = [&asked.projects, &asked.merchant_ids, &asked.countries, &asked.payment_methods];
            assert_eq!(lists.map(Vec::len), left, "{filter:?}");
            assert!(question.facet().is_some(), "{filter:?}");
        }
    }
}
