//! A question about payments: which of them, when, and by what they are told apart. Every metric is an answer to one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cell::{Facet, Measures};
use super::rollup_plan::RollupPlan;
use super::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// Which payments are counted. An empty list stands for every value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetricFilter {
    /// Who told of them.
    pub sources: Vec<Source>,
    /// Pay-ins or pay-outs.
    pub kinds: Vec<Kind>,
    /// The merchant's projects.
    pub projects: Vec<String>,
    /// Their states.
    pub statuses: Vec<Status>,
    /// Their currencies.
    pub currencies: Vec<String>,
    /// The merchant's accounts.
    pub merchant_ids: Vec<String>,
    /// The payers' countries.
    pub countries: Vec<String>,
    /// How they were paid.
    pub payment_methods: Vec<String>,
}

/// What payments may be told apart by, beside source, status and currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// The merchant's project.
    Project,
    /// The merchant's account.
    Merchant,
    /// The payer's country.
    Country,
    /// How they were paid.
    PaymentMethod,
    /// The band of the amount.
    AmountBand,
}

/// What is summed up. Each exact sum of a cell takes the database as long as to find the cell, so what nobody shows is not
/// asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Depth {
    /// How many payments, and nothing else: every sum of an answer is zero.
    Counts,
    /// Also their amounts, in their currency and in US dollars: sums of fees are zero.
    Amounts,
    /// Also their fees.
    Fees,
}

/// A question. Status and currency are always told apart: every answer needs the one, and must know of the other whether
/// amounts may be added up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricQuery {
    /// Which payments.
    pub filter: MetricFilter,
    /// When.
    pub buckets: TimeBuckets,
    /// Whether sources are told apart.
    pub by_source: bool,
    /// What else is.
    pub by: Option<Dimension>,
    /// What is summed up.
    pub depth: Depth,
}

/// The sums of payments that share everything that a question tells apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricRow {
    /// The key of their slots.
    pub bucket: i32,
    /// Who told of them, where that was asked.
    pub source: Option<Source>,
    /// Their project, merchant and so on, where one was asked; empty where the payments do not say.
    pub member: String,
    /// Their state.
    pub status: Status,
    /// Their currency.
    pub currency: String,
    /// The sums, as deep as was asked.
    pub measures: Measures,
}

/// How many payments `sums` are of.
pub fn payment_count<'sums>(sums: impl IntoIterator<Item = &'sums MetricRow>) -> u64 {
    sums.into_iter().map(|sum| sum.measures.count.unsigned_abs()).sum()
}

impl MetricQuery {
    /// How many payments `filter` finds in `slots`, and what their amounts sum up to.
    #[must_use]
    pub fn new(filter: MetricFilter, buckets: TimeBuckets) -> Self {
        Self { filter, buckets, by_source: false, by: None, depth: Depth::Amounts }
    }

    /// How many payments, and nothing else.
    #[must_use]
    pub fn counts(self) -> Self {
        Self { depth: Depth::Counts, ..self }
    }

    /// The same, and what their fees sum up to.
    #[must_use]
    pub fn with_fees(self) -> Self {
        Self { depth: Depth::Fees, ..self }
    }

    /// The same, source by source.
    #[must_use]
    pub fn by_source(self) -> Self {
        Self { by_source: true, ..self }
    }

    /// The same, by a dimension.
    #[must_use]
    pub fn by(self, dimension: Dimension) -> Self {
        Self { by: Some(dimension), ..self }
    }

    /// The same of the time before `at`, and of the time from then on: their answers together are the answer, some sums of it
    /// in two parts. None where all of its time lies on one side.
    #[must_use]
    pub fn split(&self, at: DateTime<Utc>) -> Option<(Self, Self)> {
        let (earlier, later) = self.buckets.split(at)?;
        Some((Self { buckets: earlier, ..self.clone() }, Self { buckets: later, ..self.clone() }))
    }

    /// The facet whose cells know everything that is asked; none where only the payments themselves do.
    #[must_use]
    pub fn facet(&self) -> Option<Facet> {
        let asks = |dimension: Dimension, values: &[String]| self.by == Some(dimension) || !values.is_empty();
        let project = asks(Dimension::Project, &self.filter.projects);
        let merchant = asks(Dimension::Merchant, &self.filter.merchant_ids);
        let country = asks(Dimension::Country, &self.filter.countries);
        let method = asks(Dimension::PaymentMethod, &self.filter.payment_methods);
        let band = asks(Dimension::AmountBand, &[]);
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

    /// What its times are put together from.
    #[must_use]
    pub fn rollup_plan(&self) -> RollupPlan {
        self.buckets.rollup_plan(self.facet().map(Facet::finest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facet_knows_what_is_asked_and_no_more() {
        let some = || vec!["a".to_owned()];
        let project = MetricFilter { projects: some(), ..MetricFilter::default() };
        let merchant = MetricFilter { merchant_ids: some(), ..MetricFilter::default() };
        let india = MetricFilter { countries: some(), ..MetricFilter::default() };
        let source =
            MetricFilter { sources: vec![Source::Vima], statuses: vec![Status::Failed], ..MetricFilter::default() };
        let ask = |filter: &MetricFilter| MetricQuery::new(filter.clone(), TimeBuckets::default());
        for (question, facet) in [
            (ask(&MetricFilter::default()), Some(Facet::All)),
            (ask(&source).by_source(), Some(Facet::All)),
            (ask(&project), Some(Facet::Project)),
            (ask(&source).by(Dimension::Project), Some(Facet::Project)),
            (ask(&merchant), Some(Facet::Merchant)),
            (ask(&project).by(Dimension::Merchant), Some(Facet::Merchant)),
            (ask(&india), Some(Facet::Country)),
            (ask(&project).by(Dimension::Country), Some(Facet::ProjectCountry)),
            (ask(&project).by(Dimension::PaymentMethod), Some(Facet::ProjectPaymentMethod)),
            (ask(&MetricFilter::default()).by(Dimension::AmountBand), Some(Facet::AmountBand)),
            (ask(&project).by(Dimension::AmountBand), None),
            (ask(&india).by(Dimension::PaymentMethod), None),
            (ask(&MetricFilter { countries: some(), ..merchant }), None),
        ] {
            assert_eq!(question.facet(), facet, "{question:?}");
        }
    }
}
