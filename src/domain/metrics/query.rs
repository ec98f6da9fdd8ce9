//! Metric queries: which payments, when, and grouped by what. Every metric of the API is computed from one.
//!
//! A payment that both sources report is stored twice. Counted by payments, `PayShack`'s pay-ins of the reconciled projects are
//! left out, because Vima reports the same ones. If the cells of a query distinguish the project, those pay-ins are skipped;
//! otherwise they are subtracted, with cells of a facet that has only pay-ins of `PayShack`, by project. Rejected: a column of
//! the key of the cells that marks those pay-ins, which an earlier release would not write, and which would be wrong for all
//! stored payments as soon as the setting changes; and a filter by all other projects, which reads the more cells the more
//! projects there are.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cell::{Facet, Measures};
use super::rollup_plan::RollupPlan;
use super::time_buckets::TimeBuckets;
use crate::domain::reconciliation::Projects;
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
    /// The pay-ins that `PayShack` reports for these projects are left out. [`Self::without_payshack_payins`] sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_payins: Option<Projects>,
}

impl MetricFilter {
    /// Leaves out the pay-ins that `PayShack` reports for `projects`.
    #[must_use]
    pub fn without_payshack_payins(self, projects: &Projects) -> Self {
        let excluded_payins = self.payshack_payins(projects).map(|payins| {
            let are_all_named = !self.projects.is_empty() && payins.projects.len() == self.projects.len();
            // Then cells need not be compared by project.
            if are_all_named || *projects == Projects::All { Projects::All } else { Projects::Named(payins.projects) }
        });
        Self { excluded_payins, ..self }
    }

    /// The part of the filter that is pay-ins that `PayShack` reports for `projects`; `None` if it has no such part.
    #[must_use]
    pub fn payshack_payins(&self, projects: &Projects) -> Option<Self> {
        let named: Vec<String> = match projects.names() {
            None => self.projects.clone(),
            Some(names) if self.projects.is_empty() => names.to_vec(),
            Some(names) => self.projects.iter().filter(|project| names.contains(project)).cloned().collect(),
        };
        let has_projects = *projects == Projects::All || !named.is_empty();
        let has_source = self.sources.is_empty() || self.sources.contains(&Source::Payshack);
        let has_kind = self.kinds.is_empty() || self.kinds.contains(&Kind::Payin);
        (has_projects && has_source && has_kind).then(|| Self {
            sources: vec![Source::Payshack],
            kinds: vec![Kind::Payin],
            projects: named,
            excluded_payins: None,
            ..self.clone()
        })
    }

    /// The part of the filter on a facet's members.
    #[must_use]
    pub fn members(&self, facet: Facet) -> &[String] {
        match facet {
            Facet::All | Facet::Project | Facet::AmountBand | Facet::PayshackProject | Facet::PayshackAmountBand => &[],
            Facet::Merchant => &self.merchant_ids,
            Facet::Country | Facet::ProjectCountry | Facet::PayshackCountry => &self.countries,
            Facet::PaymentMethod | Facet::ProjectPaymentMethod | Facet::PayshackPaymentMethod => &self.payment_methods,
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

/// Cells that are subtracted from those of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtracted<'query> {
    /// It has the same members as the facet of the query, by project.
    pub facet: Facet,
    pub projects: &'query [String],
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

    /// The cells to subtract from those of [`Self::facet`]: the excluded pay-ins, if the facet does not distinguish the project.
    #[must_use]
    pub fn subtracted(&self) -> Option<Subtracted<'_>> {
        let Some(Projects::Named(projects)) = &self.filter.excluded_payins else { return None };
        let facet = match self.facet()? {
            Facet::All => Facet::PayshackProject,
            Facet::AmountBand => Facet::PayshackAmountBand,
            Facet::Country => Facet::PayshackCountry,
            Facet::PaymentMethod => Facet::PayshackPaymentMethod,
            _ => return None,
        };
        Some(Subtracted { facet, projects })
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
    fn excluded_payins_are_skipped_subtracted_or_none() {
        let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let set = Projects::Named(names(&["a", "b"]));
        let projects = |projects: &[&str]| MetricFilter { projects: names(projects), ..MetricFilter::default() };
        let vima = MetricFilter { sources: vec![Source::Vima], ..MetricFilter::default() };
        let payouts = MetricFilter { kinds: vec![Kind::Payout], ..MetricFilter::default() };
        for (filter, set, excluded) in [
            (projects(&[]), &set, Some(set.clone())),
            (projects(&[]), &Projects::All, Some(Projects::All)),
            (projects(&["a", "c"]), &set, Some(Projects::Named(names(&["a"])))),
            (projects(&["b"]), &set, Some(Projects::All)),
            (projects(&["c"]), &set, None),
            (projects(&[""]), &set, None),
            (projects(&[""]), &Projects::All, Some(Projects::All)),
            (vima, &set, None),
            (payouts, &Projects::All, None),
        ] {
            let found = filter.clone().without_payshack_payins(set).excluded_payins;
            assert_eq!(found, excluded, "{filter:?} {set:?}");
        }
        let query =
            |filter: MetricFilter| MetricQuery::new(filter.without_payshack_payins(&set), TimeBuckets::default());
        let india = MetricFilter { countries: names(&["IN"]), ..MetricFilter::default() };
        for (query, facet) in [
            (query(projects(&[])), Some(Facet::PayshackProject)),
            (query(projects(&[])).by(Dimension::AmountBand), Some(Facet::PayshackAmountBand)),
            (query(projects(&[])).by(Dimension::PaymentMethod), Some(Facet::PayshackPaymentMethod)),
            (query(india.clone()), Some(Facet::PayshackCountry)),
            (query(projects(&["a", "c"])), None),
            (query(projects(&[])).by(Dimension::Project), None),
            (query(projects(&[])).by(Dimension::Merchant), None),
            (query(india).by(Dimension::AmountBand), None),
            (MetricQuery::new(projects(&[]), TimeBuckets::default()), None),
        ] {
            let subtracted = query.subtracted();
            assert_eq!(subtracted.map(|subtracted| subtracted.facet), facet, "{query:?}");
            assert!(
                subtracted
                    .is_none_or(|subtracted| subtracted.facet.finest() == query.facet().expect("a facet").finest())
            );
        }
    }

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
