//! Metric queries: which payments, when, and grouped by what. Every metric of the API is computed from one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cell::{Facet, Measures};
use super::rollup_plan::RollupPlan;
use super::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// An empty list means every value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetricFilter {
    pub sources: Vec<Source>,
    pub kinds: Vec<Kind>,
    pub projects: Vec<String>,
    pub statuses: Vec<Status>,
    pub currencies: Vec<String>,
    pub merchant_ids: Vec<String>,
    pub countries: Vec<String>,
    pub payment_methods: Vec<String>,
}

impl MetricFilter {
    /// The part of the filter on a facet's members.
    #[must_use]
    pub fn members(&self, facet: Facet) -> &[String] {
        match facet {
            Facet::All | Facet::Project | Facet::AmountBand => &[],
            Facet::Merchant => &self.merchant_ids,
            Facet::Country | Facet::ProjectCountry => &self.countries,
            Facet::PaymentMethod | Facet::ProjectPaymentMethod => &self.payment_methods,
        }
    }
}

/// What payments can be grouped by, besides source, status and currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    Project,
    Merchant,
    Country,
    PaymentMethod,
    AmountBand,
}

/// Which sums are computed. Each exact sum of a cell costs the database as much as finding the cell, so only sums that are
/// shown are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Depth {
    /// Counts only: all sums are zero.
    Counts,
    /// Also amounts, in the currency and in US dollars: sums of fees are zero.
    Amounts,
    /// Also fees.
    Fees,
}

/// Results are always grouped by status, which every metric needs, and by currency, because amounts in different currencies
/// must not be added.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricQuery {
    pub filter: MetricFilter,
    pub buckets: TimeBuckets,
    /// Whether to group by source.
    pub by_source: bool,
    /// Another dimension to group by.
    pub by: Option<Dimension>,
    pub depth: Depth,
}

/// A row of the result of a [`MetricQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricRow {
    /// The key of the time bucket.
    pub bucket: i32,
    /// `None` if not grouped by source.
    pub source: Option<Source>,
    /// The value of the dimension: a project, a merchant and so on. Empty without one, or if the payments have no value.
    pub member: String,
    pub status: Status,
    pub currency: String,
    pub measures: Measures,
}

/// The total number of payments.
pub fn payment_count<'rows>(rows: impl IntoIterator<Item = &'rows MetricRow>) -> u64 {
    rows.into_iter().map(|row| row.measures.count.unsigned_abs()).sum()
}

impl MetricQuery {
    /// Counts and amounts, without grouping.
    #[must_use]
    pub fn new(filter: MetricFilter, buckets: TimeBuckets) -> Self {
        Self { filter, buckets, by_source: false, by: None, depth: Depth::Amounts }
    }

    #[must_use]
    pub fn counts(self) -> Self {
        Self { depth: Depth::Counts, ..self }
    }

    #[must_use]
    pub fn with_fees(self) -> Self {
        Self { depth: Depth::Fees, ..self }
    }

    #[must_use]
    pub fn by_source(self) -> Self {
        Self { by_source: true, ..self }
    }

    #[must_use]
    pub fn by(self, dimension: Dimension) -> Self {
        Self { by: Some(dimension), ..self }
    }

    /// The same query for the time before `at`, and for the time from `at` on. Their rows together are the rows of this query,
    /// some of them in two parts. `None` if all of its time lies on one side.
    #[must_use]
    pub fn split(&self, at: DateTime<Utc>) -> Option<(Self, Self)> {
        let (earlier, later) = self.buckets.split(at)?;
        Some((Self { buckets: earlier, ..self.clone() }, Self { buckets: later, ..self.clone() }))
    }

    /// The facet whose cells have all dimensions of the query. `None` if only the payments have them.
    #[must_use]
    pub fn facet(&self) -> Option<Facet> {
        let uses = |dimension: Dimension, values: &[String]| self.by == Some(dimension) || !values.is_empty();
        let project = uses(Dimension::Project, &self.filter.projects);
        let merchant = uses(Dimension::Merchant, &self.filter.merchant_ids);
        let country = uses(Dimension::Country, &self.filter.countries);
        let method = uses(Dimension::PaymentMethod, &self.filter.payment_methods);
        let band = uses(Dimension::AmountBand, &[]);
        match (project, merchant, country, method, band) {
            (false, false, false, false, false) => Some(Facet::All),
            (true, false, false, false, false) => Some(Facet::Project),
            (_, true, false, false, false) => Some(Facet::Merchant),
            (false, false, true, false, false) => Some(Facet::Country),
            (true, false, true, false, false) => Some(Facet::ProjectCountry),
            (false, false, false, true, false) => Some(Facet::PaymentMethod),
            (true, false, false, true, false) => Some(Facet::ProjectPaymentMethod),
            (false, false, false, false, true) => Some(Facet::AmountBand),
            _ => None,
        }
    }

    #[must_use]
    pub fn rollup_plan(&self) -> RollupPlan {
        self.buckets.rollup_plan(self.facet().map(Facet::finest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facet_has_exactly_the_dimensions_of_the_query() {
        let some = || vec!["a".to_owned()];
        let project = MetricFilter { projects: some(), ..MetricFilter::default() };
        let merchant = MetricFilter { merchant_ids: some(), ..MetricFilter::default() };
        let india = MetricFilter { countries: some(), ..MetricFilter::default() };
        let source =
            MetricFilter { sources: vec![Source::Vima], statuses: vec![Status::Failed], ..MetricFilter::default() };
        let query = |filter: &MetricFilter| MetricQuery::new(filter.clone(), TimeBuckets::default());
        for (query, facet) in [
            (query(&MetricFilter::default()), Some(Facet::All)),
            (query(&source).by_source(), Some(Facet::All)),
            (query(&project), Some(Facet::Project)),
            (query(&source).by(Dimension::Project), Some(Facet::Project)),
            (query(&merchant), Some(Facet::Merchant)),
            (query(&project).by(Dimension::Merchant), Some(Facet::Merchant)),
            (query(&india), Some(Facet::Country)),
            (query(&project).by(Dimension::Country), Some(Facet::ProjectCountry)),
            (query(&project).by(Dimension::PaymentMethod), Some(Facet::ProjectPaymentMethod)),
            (query(&MetricFilter::default()).by(Dimension::AmountBand), Some(Facet::AmountBand)),
            (query(&project).by(Dimension::AmountBand), None),
            (query(&india).by(Dimension::PaymentMethod), None),
            (query(&MetricFilter { countries: some(), ..merchant }), None),
        ] {
            assert_eq!(query.facet(), facet, "{query:?}");
        }
    }
}
