//! The overview of a period, put together from the sums of its cells.

use poem_openapi::Object;
use poem_openapi::types::Example;
use rust_decimal::Decimal;

use super::document::{EXAMPLE_DAY, EXAMPLE_TIME};
use super::metrics::{DataAsOf, Period};
use super::schema::{Money, Time};
use crate::db::overview::Sum;
use crate::domain::rate::{average, percent, percent_change};
use crate::domain::rollup::Measures;
use crate::domain::status::Status;
use crate::domain::transaction::Source;

/// Payments that share something.
#[derive(Debug, Clone, Object)]
struct Share {
    /// How many.
    count: i64,
    /// The sum of their amounts; null where the payments of the answer have several currencies.
    amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    amount_usd: Money,
}

/// Payments by their state.
#[derive(Debug, Clone, Object)]
struct ByStatus {
    /// The money has moved.
    success: Share,
    /// It has not, and will not.
    failed: Share,
    /// Nothing is decided.
    pending: Share,
    /// The processor is at work.
    processing: Share,
    /// The money was given back.
    refunded: Share,
    /// The provider used a word that is not known.
    unknown: Share,
}

/// Payments by who told of them.
#[derive(Debug, Clone, Object)]
struct BySource {
    /// Vima.
    vima: Share,
    /// PayShack.
    payshack: Share,
}

/// The metrics of a period at a glance.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsOverview", example)]
pub(super) struct Overview {
    /// The days it is about.
    period: Period,
    /// How many payments.
    total_count: i64,
    /// The sum of their amounts in `currency`; null where they have several.
    total_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    total_amount_usd: Money,
    /// The sum of their fees in `currency`; null where they have several.
    total_fee: Option<Money>,
    /// The sum of their fees in US dollars, of those that have a rate.
    total_fee_usd: Money,
    /// How many payments have no rate, and so are not in the sums in US dollars.
    usd_missing_count: i64,
    /// The currency of all payments; null where they have several, or there are none.
    currency: Option<String>,
    /// The currency of the sums that always are there.
    display_currency: String,
    /// By state.
    by_status: ByStatus,
    /// By source.
    by_source: BySource,
    /// Successful payments of all, in percent; null where there are none.
    conversion_rate: Option<f64>,
    /// The mean amount in `currency`; null where there are several, or no payments.
    avg_ticket: Option<Money>,
    /// The mean amount in US dollars, of those that have a rate.
    avg_ticket_usd: Option<Money>,
    /// How many more payments than in as many days before, in percent; null where there were none.
    count_change_percent: Option<f64>,
    /// How much more money than in as many days before, in percent; of US dollars where there are several currencies.
    amount_change_percent: Option<f64>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl Overview {
    /// The overview of the current sums, against the previous ones.
    pub(super) fn of(period: Period, sums: &[Sum], data_as_of: DataAsOf) -> Self {
        let current = Sums(sums.iter().filter(|sum| sum.is_current).collect());
        let previous = Sums(sums.iter().filter(|sum| !sum.is_current).collect());
        let all = current.measures(|_| true);
        let before = previous.measures(|_| true);
        let success = current.measures(|sum| sum.status == Status::Success);
        let single = current.in_one_currency();
        Self {
            period,
            total_count: all.count,
            total_amount: single.then_some(Money(all.amount)),
            total_amount_usd: Money(all.amount_usd),
            total_fee: single.then_some(Money(all.fee)),
            total_fee_usd: Money(all.fee_usd),
            usd_missing_count: all.usd_missing,
            currency: current.currency(),
            display_currency: "USD".to_owned(),
            by_status: ByStatus::of(&current),
            by_source: BySource::of(&current),
            conversion_rate: percent(success.count.into(), all.count.into()),
            avg_ticket: average(all.amount, all.count).filter(|_| single).map(Money),
            avg_ticket_usd: average(all.amount_usd, all.count - all.usd_missing).map(Money),
            count_change_percent: percent_change(all.count.into(), before.count.into()),
            amount_change_percent: amount_change(&current, &previous),
            data_as_of,
        }
    }
}

/// In the currency that both periods share, else in US dollars.
fn amount_change(current: &Sums, previous: &Sums) -> Option<f64> {
    let shared = Sums(current.0.iter().chain(&previous.0).copied().collect());
    let amount = |measures: Measures| -> Decimal {
        if shared.in_one_currency() { measures.amount } else { measures.amount_usd }
    };
    percent_change(amount(current.measures(|_| true)), amount(previous.measures(|_| true)))
}

impl ByStatus {
    fn of(sums: &Sums) -> Self {
        let share = |status| sums.share(|sum| sum.status == status);
        Self {
            success: share(Status::Success),
            failed: share(Status::Failed),
            pending: share(Status::Pending),
            processing: share(Status::Processing),
            refunded: share(Status::Refunded),
            unknown: share(Status::Unknown),
        }
    }
}

impl BySource {
    fn of(sums: &Sums) -> Self {
        let share = |source| sums.share(|sum| sum.source == source);
        Self { vima: share(Source::Vima), payshack: share(Source::Payshack) }
    }
}

/// The sums of one period.
struct Sums<'sums>(Vec<&'sums Sum>);

impl Sums<'_> {
    fn measures(&self, belongs: impl Fn(&Sum) -> bool) -> Measures {
        let mut all = Measures::default();
        for sum in self.0.iter().filter(|sum| belongs(sum)) {
            all += sum.measures;
        }
        all
    }

    fn share(&self, belongs: impl Fn(&Sum) -> bool) -> Share {
        let Measures { count, amount, amount_usd, .. } = self.measures(belongs);
        Share { count, amount: self.in_one_currency().then_some(Money(amount)), amount_usd: Money(amount_usd) }
    }

    /// Whether amounts may be added up; where there is nothing, nothing disagrees.
    fn in_one_currency(&self) -> bool {
        self.0.windows(2).all(|pair| pair[0].currency == pair[1].currency)
    }

    fn currency(&self) -> Option<String> {
        self.0.first().filter(|_| self.in_one_currency()).map(|sum| sum.currency.clone())
    }
}

fn example_sums() -> Vec<Sum> {
    let sum = |is_current, source, status, count: i64| Sum {
        is_current,
        source,
        status,
        currency: "INR".to_owned(),
        measures: Measures {
            count,
            amount: Decimal::from(count * 1_500),
            amount_usd: Decimal::from(count * 18),
            fee: Decimal::from(count * 30),
            ..Measures::default()
        },
    };
    vec![
        sum(true, Source::Vima, Status::Success, 90),
        sum(true, Source::Vima, Status::Failed, 30),
        sum(true, Source::Payshack, Status::Success, 60),
        sum(false, Source::Vima, Status::Success, 150),
    ]
}

impl Example for Overview {
    fn example() -> Self {
        let period = Period { from: EXAMPLE_DAY, to: EXAMPLE_DAY, timezone: "Asia/Kolkata".to_owned() };
        let as_of = Some(Time(EXAMPLE_TIME));
        Self::of(period, &example_sums(), DataAsOf { vima: as_of, payshack: as_of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::format_decimal;

    fn overview(sums: &[Sum]) -> Overview {
        let period = Period { from: EXAMPLE_DAY, to: EXAMPLE_DAY, timezone: "UTC".to_owned() };
        Overview::of(period, sums, DataAsOf { vima: None, payshack: None })
    }

    fn text(money: Option<Money>) -> Option<String> {
        money.map(|Money(amount)| format_decimal(amount))
    }

    #[test]
    fn one_currency_is_summed_and_compared() {
        let overview = overview(&example_sums());
        assert_eq!(
            (overview.total_count, overview.by_status.success.count, overview.by_source.vima.count),
            (180, 150, 120)
        );
        assert_eq!(text(overview.total_amount).as_deref(), Some("270000.00"));
        assert_eq!(text(overview.avg_ticket).as_deref(), Some("1500.00"));
        assert_eq!(overview.currency.as_deref(), Some("INR"));
        assert_eq!(overview.conversion_rate, Some(83.33));
        assert_eq!((overview.count_change_percent, overview.amount_change_percent), (Some(20.0), Some(20.0)));
    }

    #[test]
    fn several_currencies_are_never_added_up() {
        let mut sums = example_sums();
        sums[2].currency = "EUR".to_owned();
        sums[2].measures.usd_missing = 60;
        sums[2].measures.amount_usd = Decimal::ZERO;
        let overview = overview(&sums);
        assert_eq!((text(overview.total_amount), text(overview.total_fee), overview.currency), (None, None, None));
        assert_eq!(text(overview.by_status.success.amount), None);
        assert_eq!(format_decimal(overview.total_amount_usd.0), "2160.00");
        assert_eq!(text(overview.avg_ticket_usd).as_deref(), Some("18.00"));
        assert_eq!((overview.usd_missing_count, overview.amount_change_percent), (60, Some(-20.0)));
    }

    #[test]
    fn of_nothing_there_is_no_rate() {
        let overview = overview(&[]);
        assert_eq!((overview.total_count, text(overview.total_amount).as_deref()), (0, Some("0.00")));
        assert_eq!(
            (overview.conversion_rate, overview.count_change_percent, overview.amount_change_percent),
            (None, None, None)
        );
        assert!(overview.avg_ticket.is_none() && overview.avg_ticket_usd.is_none() && overview.currency.is_none());
    }
}
