//! What is left to look into, sorted by age as finance does.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use poem_openapi::Object;

use crate::db::reconciliation::open_discrepancies as db;
use crate::domain::reconciliation::{AgeBucket, age_in_days};
use crate::web::http::schema::Money;

/// Unresolved cases of one age.
#[derive(Debug, Clone, Object)]
struct OpenCasesOfAge {
    /// How many days ago their day was.
    bucket: AgeBucket,
    /// How many there are.
    count: u64,
    /// What is at risk; null where it is in several currencies.
    amount: Option<Money>,
    /// The currency of `amount`; null where there is none, or several.
    currency: Option<String>,
}

impl OpenCasesOfAge {
    fn of(bucket: AgeBucket, cases: &[&db::OpenDiscrepancies]) -> Self {
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

/// Unresolved cases: nobody has settled them, and runs still find them.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct OpenCases {
    /// How many there are.
    count: u64,
    /// By how many days ago their day was, the youngest first.
    by_age: Vec<OpenCasesOfAge>,
}

impl OpenCases {
    /// The cases, on the day `today`.
    pub(in crate::web) fn of(cases: &[db::OpenDiscrepancies], today: NaiveDate) -> Self {
        let by_age = AgeBucket::ALL.map(|bucket| {
            let aged = |cases: &&db::OpenDiscrepancies| AgeBucket::of(age_in_days(cases.recon_date, today)) == bucket;
            OpenCasesOfAge::of(bucket, &cases.iter().filter(aged).collect::<Vec<_>>())
        });
        Self { count: cases.iter().map(|cases| cases.count).sum(), by_age: by_age.into() }
    }
}
