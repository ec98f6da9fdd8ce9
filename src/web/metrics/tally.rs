//! The sums of a question, gathered for one row of an answer.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use poem_openapi::Object;
use poem_openapi::types::Example;
use rust_decimal::Decimal;

use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::query::MetricRow;
use crate::domain::rate::{average, percent, percent_change};
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::web::http::schema::Money;

/// Payments that are counted together, status by status.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Tally {
    by_status: [Measures; Status::ALL.len()],
    currencies: Currencies,
}

/// In which currencies payments are: whether their amounts may be added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Currencies {
    /// There are no payments; where there is nothing, nothing disagrees.
    #[default]
    None,
    One(String),
    Several,
}

/// Payments that share something.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct Share {
    /// How many.
    pub(in crate::web) count: i64,
    /// The sum of their amounts; null where the payments of the answer have several currencies.
    pub(in crate::web) amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    pub(in crate::web) amount_usd: Money,
}

impl Tally {
    /// All of `sums` together.
    pub(in crate::web) fn of<'sums>(sums: impl IntoIterator<Item = &'sums MetricRow>) -> Self {
        let mut tally = Self::default();
        for sum in sums {
            tally.add(sum);
        }
        tally
    }

    /// A tally for each key.
    pub(in crate::web) fn by<'sums, K: Ord>(
        sums: impl IntoIterator<Item = &'sums MetricRow>,
        key: impl Fn(&'sums MetricRow) -> K,
    ) -> BTreeMap<K, Self> {
        let mut tallies = BTreeMap::<K, Self>::new();
        for sum in sums {
            tallies.entry(key(sum)).or_default().add(sum);
        }
        tallies
    }

    fn add(&mut self, sum: &MetricRow) {
        self.by_status[place(sum.status)] += sum.measures;
        match &self.currencies {
            Currencies::None => self.currencies = Currencies::One(sum.currency.clone()),
            Currencies::One(currency) if *currency != sum.currency => self.currencies = Currencies::Several,
            Currencies::One(_) | Currencies::Several => {}
        }
    }

    /// Everything of both.
    pub(in crate::web) fn join(&mut self, other: &Self) {
        for (mine, more) in self.by_status.iter_mut().zip(&other.by_status) {
            *mine += *more;
        }
        self.currencies = match (std::mem::take(&mut self.currencies), &other.currencies) {
            (Currencies::None, theirs) => theirs.clone(),
            (mine, Currencies::None) => mine,
            (Currencies::One(mine), Currencies::One(theirs)) if mine == *theirs => Currencies::One(mine),
            _ => Currencies::Several,
        };
    }

    /// What all payments sum up to.
    pub(in crate::web) fn all(&self) -> Measures {
        let mut all = Measures::default();
        for measures in self.by_status {
            all += measures;
        }
        all
    }

    /// What those in a state sum up to.
    pub(in crate::web) fn in_state(&self, status: Status) -> Measures {
        self.by_status[place(status)]
    }

    /// How many payments.
    pub(in crate::web) fn count(&self) -> i64 {
        self.by_status.iter().map(|measures| measures.count).sum()
    }

    /// How many of them wait: pending and processing together.
    pub(in crate::web) fn pending_count(&self) -> i64 {
        self.in_state(Status::Pending).count + self.in_state(Status::Processing).count
    }

    /// Successful payments of all, in percent.
    pub(in crate::web) fn conversion_rate(&self) -> Option<f64> {
        percent(self.in_state(Status::Success).count.into(), self.count().into())
    }

    /// The mean amount, where amounts may be added up.
    pub(in crate::web) fn avg_ticket(&self) -> Option<Money> {
        let all = self.all();
        average(all.amount, all.count).and_then(|mean| self.money(mean))
    }

    /// Whether amounts may be added up.
    pub(in crate::web) fn is_in_one_currency(&self) -> bool {
        self.currencies != Currencies::Several
    }

    /// The currency of all payments, if they share one.
    pub(in crate::web) fn currency(&self) -> Option<String> {
        match &self.currencies {
            Currencies::One(currency) => Some(currency.clone()),
            Currencies::None | Currencies::Several => None,
        }
    }

    /// A sum of amounts; none where there are several currencies.
    pub(in crate::web) fn money(&self, amount: Decimal) -> Option<Money> {
        self.is_in_one_currency().then_some(Money(amount))
    }

    /// The sum of amounts as it is held against that of others of `whole`: in the currency that all of these share, else in US
    /// dollars.
    pub(in crate::web) fn comparable_amount(&self, whole: &Self) -> Decimal {
        let all = self.all();
        if whole.is_in_one_currency() { all.amount } else { all.amount_usd }
    }

    /// How much more money than in `previous`, in percent; of US dollars where both together have several currencies.
    pub(in crate::web) fn amount_change_percent(&self, previous: &Self) -> Option<f64> {
        let mut both = self.clone();
        both.join(previous);
        percent_change(self.comparable_amount(&both), previous.comparable_amount(&both))
    }

    /// A part of the payments.
    pub(in crate::web) fn share(&self, part: Measures) -> Share {
        Share { count: part.count, amount: self.money(part.amount), amount_usd: Money(part.amount_usd) }
    }
}

/// A tally for each key, the largest amount first: in the currency of all payments, or in US dollars where there are several.
pub(in crate::web) fn largest_first<'sums, K: Ord>(
    sums: &'sums [MetricRow],
    key: impl Fn(&'sums MetricRow) -> K,
) -> Vec<(K, Tally)> {
    let whole = Tally::of(sums);
    let mut rows: Vec<(K, Tally)> = Tally::by(sums, key).into_iter().collect();
    rows.sort_by_key(|(_, tally)| Reverse(tally.comparable_amount(&whole)));
    rows
}

/// What payments call themselves; none where they do not say.
pub(in crate::web) fn told(member: &str) -> Option<String> {
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

fn place(status: Status) -> usize {
    // Every status is in the list of all of them.
    Status::ALL.iter().position(|known| *known == status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(status: Status, currency: &str, count: i64) -> MetricRow {
        let measures = Measures { count, amount: Decimal::from(count * 10), ..Measures::default() };
        MetricRow { bucket: 0, source: None, member: String::new(), status, currency: currency.to_owned(), measures }
    }

    #[test]
    fn amounts_of_one_currency_are_added_up() {
        let tally = Tally::of(&[
            sum(Status::Success, "INR", 3),
            sum(Status::Pending, "INR", 1),
            sum(Status::Processing, "INR", 2),
        ]);
        assert_eq!((tally.count(), tally.pending_count(), tally.conversion_rate()), (6, 3, Some(50.0)));
        assert_eq!((tally.currency().as_deref(), tally.avg_ticket()), (Some("INR"), Some(Money(Decimal::TEN))));
    }

    #[test]
    fn the_largest_is_first_in_dollars_where_there_are_several_currencies() {
        let mut sums = [sum(Status::Success, "INR", 3), sum(Status::Success, "INR", 1), sum(Status::Failed, "INR", 1)];
        for (member, sum) in ["a", "b", ""].into_iter().zip(&mut sums) {
            member.clone_into(&mut sum.member);
        }
        let order = |sums: &[MetricRow]| -> Vec<Option<String>> {
            largest_first(sums, |sum| told(&sum.member)).into_iter().map(|(member, _)| member).collect()
        };
        let known = |name: &str| Some(name.to_owned());
        assert_eq!(order(&sums), [known("a"), None, known("b")]);
        sums[1].currency = "USD".to_owned();
        sums[1].measures.amount_usd = Decimal::TEN;
        assert_eq!(order(&sums), [known("b"), None, known("a")]);
    }

    #[test]
    fn amounts_of_several_currencies_are_not() {
        let mut tally = Tally::of(&[sum(Status::Success, "INR", 3)]);
        let none = Tally::default();
        tally.join(&none);
        assert_eq!(tally.currency().as_deref(), Some("INR"));
        tally.join(&Tally::of(&[sum(Status::Failed, "EUR", 1)]));
        assert_eq!((tally.count(), tally.currency(), tally.avg_ticket()), (4, None, None));
        assert_eq!(
            Tally::of(&[sum(Status::Success, "INR", 3), sum(Status::Success, "EUR", 3)]).money(Decimal::ONE),
            None
        );
        assert_eq!(
            (none.currency(), none.money(Decimal::ZERO), none.conversion_rate()),
            (None, Some(Money(Decimal::ZERO)), None)
        );
    }
}
