//! Adds up the rows of a metric query for one item of a response.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::AddAssign;

use poem_openapi::types::Example;
use rust_decimal::Decimal;

use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::query::MetricRow;
use crate::domain::rate::{average, percent, percent_change};
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::web::http::schema::{Money, Usd};

/// The sums of a group of transactions, by currency and status.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Tally {
    /// Nearly always one, seldom more than a few.
    currencies: Vec<CurrencySums>,
}

#[derive(Debug, Clone)]
struct CurrencySums {
    currency: String,
    by_status: ByStatus,
}

#[derive(Debug, Clone, Copy, Default)]
struct ByStatus([Measures; Status::ALL.len()]);

impl AddAssign for ByStatus {
    fn add_assign(&mut self, more: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(more.0) {
            *mine += theirs;
        }
    }
}

impl Tally {
    pub(in crate::web) fn from_rows<'rows>(rows: impl IntoIterator<Item = &'rows MetricRow>) -> Self {
        let mut tally = Self::default();
        for row in rows {
            tally.add(row);
        }
        tally
    }

    pub(in crate::web) fn by_key<'rows, K: Ord>(
        rows: impl IntoIterator<Item = &'rows MetricRow>,
        key: impl Fn(&'rows MetricRow) -> K,
    ) -> BTreeMap<K, Self> {
        let mut tallies = BTreeMap::<K, Self>::new();
        for row in rows {
            tallies.entry(key(row)).or_default().add(row);
        }
        tallies
    }

    fn add(&mut self, row: &MetricRow) {
        self.sums_in(&row.currency).0[index_of(row.status)] += row.measures;
    }

    fn sums_in(&mut self, currency: &str) -> &mut ByStatus {
        let place = self.currencies.iter().position(|sums| sums.currency == currency).unwrap_or_else(|| {
            self.currencies.push(CurrencySums { currency: currency.to_owned(), by_status: ByStatus::default() });
            self.currencies.len() - 1
        });
        &mut self.currencies[place].by_status
    }

    pub(in crate::web) fn merge(&mut self, other: &Self) {
        for CurrencySums { currency, by_status } in &other.currencies {
            *self.sums_in(currency) += *by_status;
        }
    }

    /// The parts of the group in each currency, by its code.
    pub(in crate::web) fn by_currency(&self) -> impl Iterator<Item = (&str, Self)> {
        let mut parts: Vec<&CurrencySums> = self.currencies.iter().collect();
        parts.sort_by_key(|part| part.currency.as_str());
        parts.into_iter().map(|part| (part.currency.as_str(), Self { currencies: vec![part.clone()] }))
    }

    /// All measures of all currencies.
    fn all_measures(&self) -> impl Iterator<Item = &Measures> {
        self.currencies.iter().flat_map(|sums| &sums.by_status.0)
    }

    /// The measures of all transactions.
    pub(in crate::web) fn total(&self) -> Measures {
        let mut total = Measures::default();
        for measures in self.all_measures() {
            total += *measures;
        }
        total
    }

    /// The measures of the transactions with this status.
    pub(in crate::web) fn measures(&self, status: Status) -> Measures {
        let mut measures = Measures::default();
        for sums in &self.currencies {
            measures += sums.by_status.0[index_of(status)];
        }
        measures
    }

    pub(in crate::web) fn count(&self) -> i64 {
        self.all_measures().map(|measures| measures.count).sum()
    }

    /// Pending and processing together.
    pub(in crate::web) fn pending_count(&self) -> i64 {
        self.measures(Status::Pending).count + self.measures(Status::Processing).count
    }

    /// Successful transactions in percent of all; `None` if there are none.
    pub(in crate::web) fn conversion_rate(&self) -> Option<f64> {
        percent(self.measures(Status::Success).count.into(), self.count().into())
    }

    /// The mean amount; `None` if there are several currencies or no transactions.
    pub(in crate::web) fn avg_ticket(&self) -> Option<Money> {
        let total = self.total();
        average(total.amount, total.count).and_then(|mean| self.money(mean))
    }

    /// The mean amount in US dollars of the transactions that have one; `None` if there are none.
    pub(in crate::web) fn avg_ticket_usd(&self) -> Option<Usd> {
        let total = self.total();
        average(total.amount_usd, total.count - total.usd_missing).map(Usd)
    }

    /// Whether amounts may be added up: also true if there are no transactions.
    pub(in crate::web) fn is_in_one_currency(&self) -> bool {
        self.currencies.len() < 2
    }

    /// The currency that all transactions share; `None` if there are several, or no transactions.
    pub(in crate::web) fn currency(&self) -> Option<String> {
        match self.currencies.as_slice() {
            [one] => Some(one.currency.clone()),
            _ => None,
        }
    }

    /// A sum of amounts; `None` if there are several currencies.
    pub(in crate::web) fn money(&self, amount: Decimal) -> Option<Money> {
        self.is_in_one_currency().then_some(Money(amount))
    }

    /// The sum of amounts to compare with that of another part of `whole`: in the currency that all of `whole` share, else in
    /// US dollars.
    pub(in crate::web) fn comparable_amount(&self, whole: &Self) -> Decimal {
        let total = self.total();
        if whole.is_in_one_currency() { total.amount } else { total.amount_usd }
    }

    /// The change of the amount since `previous`, in percent; of amounts in US dollars if both together have several
    /// currencies.
    pub(in crate::web) fn amount_change_percent(&self, previous: &Self) -> Option<f64> {
        let mut both = self.clone();
        both.merge(previous);
        percent_change(self.comparable_amount(&both), previous.comparable_amount(&both))
    }
}

/// A tally per key, the largest amount first, as [`Tally::comparable_amount`] compares them.
pub(in crate::web) fn largest_first<'rows, K: Ord>(
    rows: &'rows [MetricRow],
    key: impl Fn(&'rows MetricRow) -> K,
) -> Vec<(K, Tally)> {
    let whole = Tally::from_rows(rows);
    let mut tallies: Vec<(K, Tally)> = Tally::by_key(rows, key).into_iter().collect();
    tallies.sort_by_key(|(_, tally)| Reverse(tally.comparable_amount(&whole)));
    tallies
}

/// The value of a dimension; `None` if the transactions have none.
pub(in crate::web) fn non_empty(member: &str) -> Option<String> {
    (!member.is_empty()).then(|| member.to_owned())
}

impl Example for MetricRow {
    fn example() -> Self {
        let measures = Measures {
            count: 120,
            amount: Decimal::new(18_510_000, 2),
            amount_usd: Decimal::new(222_120, 2),
            fee: Decimal::new(370_200, 2),
            fee_usd: Decimal::new(4_442, 2),
            usd_missing: 0,
        };
        Self {
            bucket: 0,
            source: Some(Source::Vima),
            member: "monetix".to_owned(),
            status: Status::Success,
            currency: "INR".to_owned(),
            measures,
        }
    }
}

fn index_of(status: Status) -> usize {
    // `ALL` contains every status.
    Status::ALL.iter().position(|known| *known == status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: Status, currency: &str, count: i64) -> MetricRow {
        let measures = Measures { count, amount: Decimal::from(count * 10), ..Measures::default() };
        MetricRow { bucket: 0, source: None, member: String::new(), status, currency: currency.to_owned(), measures }
    }

    #[test]
    fn amounts_of_one_currency_are_added_up() {
        let tally = Tally::from_rows(&[
            row(Status::Success, "INR", 3),
            row(Status::Pending, "INR", 1),
            row(Status::Processing, "INR", 2),
        ]);
        assert_eq!((tally.count(), tally.pending_count(), tally.conversion_rate()), (6, 3, Some(50.0)));
        assert_eq!((tally.currency().as_deref(), tally.avg_ticket()), (Some("INR"), Some(Money(Decimal::TEN))));
    }

    #[test]
    fn amounts_of_several_currencies_are_compared_in_dollars() {
        let mut rows = [row(Status::Success, "INR", 3), row(Status::Success, "INR", 1), row(Status::Failed, "INR", 1)];
        for (member, row) in ["a", "b", ""].into_iter().zip(&mut rows) {
            member.clone_into(&mut row.member);
        }
        let order = |rows: &[MetricRow]| -> Vec<Option<String>> {
            largest_first(rows, |row| non_empty(&row.member)).into_iter().map(|(member, _)| member).collect()
        };
        let known = |name: &str| Some(name.to_owned());
        assert_eq!(order(&rows), [known("a"), None, known("b")]);
        rows[1].currency = "USD".to_owned();
        rows[1].measures.amount_usd = Decimal::TEN;
        assert_eq!(order(&rows), [known("b"), None, known("a")]);
    }

    #[test]
    fn amounts_of_several_currencies_are_not_added_up() {
        let mut tally = Tally::from_rows(&[row(Status::Success, "INR", 3)]);
        let none = Tally::default();
        tally.merge(&none);
        assert_eq!(tally.currency().as_deref(), Some("INR"));
        tally.merge(&Tally::from_rows(&[row(Status::Failed, "EUR", 1)]));
        assert_eq!((tally.count(), tally.currency(), tally.avg_ticket()), (4, None, None));
        let several = Tally::from_rows(&[row(Status::Success, "INR", 3), row(Status::Success, "EUR", 3)]);
        assert_eq!(several.money(Decimal::ONE), None);
        assert_eq!(
            (none.currency(), none.money(Decimal::ZERO), none.conversion_rate()),
            (None, Some(Money(Decimal::ZERO)), None)
        );
    }
}
