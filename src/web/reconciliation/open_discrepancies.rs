//! Unresolved discrepancies by age, as finance sorts them.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use poem_openapi::Object;
use rust_decimal::Decimal;

use crate::db::reconciliation::open_discrepancies as db;
use crate::domain::reconciliation::{AgeBucket, age_in_days};
use crate::web::http::schema::{Money, named_enum};

const UNRESOLVED: &str = "/api/v1/reconciliation/discrepancies?state=open&state=acknowledged";

/// Unresolved discrepancies in one currency.
#[derive(Debug, Clone, Object)]
struct OpenDiscrepanciesInCurrency {
    /// The currency; null for discrepancies without amounts.
    currency: Option<String>,
    /// The number of discrepancies.
    count: u64,
    /// The amount at risk, in `currency`.
    amount: Money,
}

fn by_currency(groups: &[&db::OpenDiscrepancies]) -> Vec<OpenDiscrepanciesInCurrency> {
    let mut parts: BTreeMap<Option<&str>, Vec<&db::OpenDiscrepancies>> = BTreeMap::new();
    for group in groups {
        parts.entry(group.currency.as_deref()).or_default().push(group);
    }
    let part = |(currency, groups): (Option<&str>, Vec<&db::OpenDiscrepancies>)| OpenDiscrepanciesInCurrency {
        currency: currency.map(str::to_owned),
        count: groups.iter().map(|group| group.count).sum(),
        amount: Money(groups.iter().map(|group| group.at_risk).sum()),
    };
    parts.into_iter().map(part).collect()
}

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
    /// The discrepancies by currency.
    by_currency: Vec<OpenDiscrepanciesInCurrency>,
    /// The path and query of the list of these discrepancies; null if there are none.
    rows_url: Option<String>,
}

impl OpenDiscrepanciesByAge {
    fn new(bucket: AgeBucket, groups: &[&db::OpenDiscrepancies], time: &CountedDays) -> Self {
        let by_currency = by_currency(groups);
        let (amount, currency) = match &by_currency[..] {
            [] => (Some(Money(Decimal::ZERO)), None),
            [one] => (Some(one.amount), one.currency.clone()),
            _ => (None, None),
        };
        let count = groups.iter().map(|group| group.count).sum();
        Self { bucket, count, amount, currency, by_currency, rows_url: time.rows_url(count, Some(bucket)) }
    }
}

/// Unresolved discrepancies: open or acknowledged.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct OpenDiscrepancies {
    /// The number of unresolved discrepancies.
    count: u64,
    /// The discrepancies by currency.
    by_currency: Vec<OpenDiscrepanciesInCurrency>,
    /// The path and query of the list of these discrepancies; null if there are none. A key with a project scope finds fewer than
    /// the counts, which are of all projects.
    rows_url: Option<String>,
    /// The discrepancies by age, youngest first.
    by_age: Vec<OpenDiscrepanciesByAge>,
}

impl OpenDiscrepancies {
    /// `groups` are of the days up to `until`.
    pub(in crate::web) fn new(groups: &[db::OpenDiscrepancies], until: NaiveDate, today: NaiveDate) -> Self {
        let time = CountedDays { until, today };
        let by_age = AgeBucket::ALL.map(|bucket| {
            let aged =
                |group: &&db::OpenDiscrepancies| AgeBucket::from_days(age_in_days(group.recon_date, today)) == bucket;
            OpenDiscrepanciesByAge::new(bucket, &groups.iter().filter(aged).collect::<Vec<_>>(), &time)
        });
        let count = groups.iter().map(|group| group.count).sum();
        Self {
            count,
            by_currency: by_currency(&groups.iter().collect::<Vec<_>>()),
            rows_url: time.rows_url(count, None),
            by_age: by_age.into(),
        }
    }
}

/// The days whose discrepancies are counted. Links name them as days, since ages change at midnight.
struct CountedDays {
    /// The last one.
    until: NaiveDate,
    today: NaiveDate,
}

impl CountedDays {
    /// The list of the discrepancies of an age, or of all.
    fn rows_url(&self, count: u64, bucket: Option<AgeBucket>) -> Option<String> {
        let days_ago = |days: u32| self.today.checked_sub_days(Days::new(days.into())).unwrap_or(self.today);
        let (lowest, highest) = bucket.map_or((0, None), AgeBucket::ages);
        // Days that have not begun have the age 0.
        let last = if lowest == 0 { self.until } else { days_ago(lowest).min(self.until) };
        let from = highest.map(|days| format!("&from_date={}", days_ago(days))).unwrap_or_default();
        (count > 0).then(|| format!("{UNRESOLVED}{from}&to_date={last}"))
    }
}

named_enum!(AgeBucket, "AgeBucket", AgeBucket::ALL, "The age of a discrepancy in days.");
