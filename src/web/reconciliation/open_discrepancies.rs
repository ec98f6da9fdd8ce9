//! Unresolved discrepancies by age, as finance sorts them.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use poem_openapi::Object;

use crate::db::reconciliation::open_discrepancies as db;
use crate::domain::reconciliation::{AgeBucket, age_in_days};
use crate::web::http::schema::{Money, named_enum};

/// Unresolved discrepancies of one age.
#[derive(Debug, Clone, Object)]
struct OpenDiscrepanciesByAge {
    /// The age in days.
    bucket: AgeBucket,
    /// The number of discrepancies.
    count: u64,
    /// The amount at risk; null if the amounts are in several currencies.
    amount: Option<Money>,
    /// The currency of `amount`; null if there are no amounts, or several currencies.
    currency: Option<String>,
}

impl OpenDiscrepanciesByAge {
    fn new(bucket: AgeBucket, groups: &[&db::OpenDiscrepancies]) -> Self {
        let currencies: BTreeSet<Option<&str>> = groups.iter().map(|group| group.currency.as_deref()).collect();
        let alone = currencies.len() < 2;
        Self {
            bucket,
            count: groups.iter().map(|group| group.count).sum(),
            amount: alone.then(|| Money(groups.iter().map(|group| group.at_risk).sum())),
            currency: currencies.into_iter().next().flatten().filter(|_| alone).map(str::to_owned),
        }
    }
}

/// Unresolved discrepancies: open or acknowledged.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct OpenDiscrepancies {
    /// The number of unresolved discrepancies.
    count: u64,
    /// The discrepancies by age, youngest first.
    by_age: Vec<OpenDiscrepanciesByAge>,
}

impl OpenDiscrepancies {
    pub(in crate::web) fn new(groups: &[db::OpenDiscrepancies], today: NaiveDate) -> Self {
        let by_age = AgeBucket::ALL.map(|bucket| {
            let aged =
                |group: &&db::OpenDiscrepancies| AgeBucket::from_days(age_in_days(group.recon_date, today)) == bucket;
            OpenDiscrepanciesByAge::new(bucket, &groups.iter().filter(aged).collect::<Vec<_>>())
        });
        Self { count: groups.iter().map(|group| group.count).sum(), by_age: by_age.into() }
    }
}

named_enum!(AgeBucket, "AgeBucket", AgeBucket::ALL, "The age of a discrepancy in days.");
