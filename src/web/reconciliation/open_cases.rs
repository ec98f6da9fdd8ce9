//! Unresolved discrepancies by age, as finance sorts them.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use poem_openapi::Object;

use crate::db::reconciliation::open_discrepancies as db;
use crate::domain::reconciliation::{AgeBucket, age_in_days};
use crate::web::http::schema::{Money, named_enum};

/// Unresolved discrepancies of one age.
#[derive(Debug, Clone, Object)]
struct OpenCasesOfAge {
    /// The age in days.
    bucket: AgeBucket,
    /// The number of discrepancies.
    count: u64,
    /// The amount at risk; null if the amounts are in several currencies.
    amount: Option<Money>,
    /// The currency of `amount`; null if there are no amounts, or several currencies.
    currency: Option<String>,
}

impl OpenCasesOfAge {
    fn new(bucket: AgeBucket, cases: &[&db::OpenDiscrepancies]) -> Self {
        let currencies: BTreeSet<Option<&str>> = cases.iter().map(|cases| cases.currency.as_deref()).collect();
        let alone = currencies.len() < 2;
        Self {
            bucket,
            count: cases.iter().map(|cases| cases.count).sum(),
            amount: alone.then(|| Money(cases.iter().map(|cases| cases.at_risk).sum())),
            currency: currencies.into_iter().next().flatten().filter(|_| alone).map(str::to_owned),
        }
    }
}

/// Unresolved discrepancies: open or acknowledged.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct OpenCases {
    /// The number of unresolved discrepancies.
    count: u64,
    /// The discrepancies by age, youngest first.
    by_age: Vec<OpenCasesOfAge>,
}

impl OpenCases {
    pub(in crate::web) fn new(cases: &[db::OpenDiscrepancies], today: NaiveDate) -> Self {
        let by_age = AgeBucket::ALL.map(|bucket| {
            let aged =
                |cases: &&db::OpenDiscrepancies| AgeBucket::from_days(age_in_days(cases.recon_date, today)) == bucket;
            OpenCasesOfAge::new(bucket, &cases.iter().filter(aged).collect::<Vec<_>>())
        });
        Self { count: cases.iter().map(|cases| cases.count).sum(), by_age: by_age.into() }
    }
}

named_enum!(AgeBucket, "AgeBucket", AgeBucket::ALL, "The age of a discrepancy in days.");
