//! The value of payments in US dollars.
//!
//! A record's own rate is used if it has one. Otherwise the payment is converted with a stored rate that we fetched: the
//! one that was valid when the payment was created, so that the value does not depend on when the record is read.
//! Rejected: the newest rate (the value would change with every update), and a constant for unknown rates (an invented
//! number looks like a real one).

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::money::{Currency, is_plausible_amount};
use super::transaction::Transaction;

/// A stored rate is used only for payments at most this far from it.
pub const MAX_RATE_DISTANCE_DAYS: i64 = 30;

/// Decimals of a stored rate: enough for eight significant digits of the rial, few enough for exact products.
const DECIMALS: u32 = 12;

/// US dollars for one unit of a currency, given the value of one unit of a base currency in both. Rounds half to even,
/// as banks do. `None` if one of the values is not positive, or the rate rounds to zero.
#[must_use]
pub fn dollars_for_one(dollars: Decimal, units: Decimal) -> Option<Decimal> {
    let positive = |rate: &Decimal| *rate > Decimal::ZERO;
    let rate = Some(dollars).filter(positive)?.checked_div(Some(units).filter(positive)?)?;
    Some(rate.round_dp(DECIMALS).normalize()).filter(positive)
}

/// The product, exact as long as it fits into 28 digits. `None` if no payment can have such an amount.
#[must_use]
pub fn in_dollars(amount: Decimal, rate: Decimal) -> Option<Decimal> {
    amount.checked_mul(rate).map(|dollars| dollars.normalize()).filter(|dollars| is_plausible_amount(*dollars))
}

/// A rate that we fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeRate {
    /// US dollars for one unit of the currency.
    pub usd: Decimal,
    pub fetched_at: DateTime<Utc>,
}

/// The stored rates, by currency and time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rates(BTreeMap<Currency, BTreeMap<DateTime<Utc>, Decimal>>);

impl Rates {
    #[must_use]
    pub fn contains(&self, currency: &Currency) -> bool {
        self.0.contains_key(currency)
    }

    /// The last rate fetched at or before `time`, otherwise the first one after it. Rates more than
    /// [`MAX_RATE_DISTANCE_DAYS`] away are ignored.
    #[must_use]
    pub fn find(&self, currency: &Currency, time: DateTime<Utc>) -> Option<ExchangeRate> {
        let rates = self.0.get(currency)?;
        let near = |(fetched_at, usd): (&DateTime<Utc>, &Decimal)| {
            let rate = ExchangeRate { usd: *usd, fetched_at: *fetched_at };
            ((time - rate.fetched_at).abs() <= TimeDelta::days(MAX_RATE_DISTANCE_DAYS)).then_some(rate)
        };
        rates.range(..=time).next_back().and_then(near).or_else(|| rates.range(time..).next().and_then(near))
    }
}

impl FromIterator<(Currency, ExchangeRate)> for Rates {
    fn from_iter<T: IntoIterator<Item = (Currency, ExchangeRate)>>(rates: T) -> Self {
        let mut by_currency = Self::default();
        for (currency, ExchangeRate { usd, fetched_at }) in rates {
            by_currency.0.entry(currency).or_default().insert(fetched_at, usd);
        }
        by_currency
    }
}

/// Where the exchange rate of a payment comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateOrigin {
    /// The provider's record.
    Record,
    /// A stored rate.
    Stored { fetched_at: DateTime<Utc> },
}

impl RateOrigin {
    pub const NAMES: [&'static str; 2] = ["record", "stored"];

    /// `None` if the name is unknown, or a stored rate has no time.
    #[must_use]
    pub fn from_parts(name: &str, fetched_at: Option<DateTime<Utc>>) -> Option<Self> {
        match (name, fetched_at) {
            ("record", _) => Some(Self::Record),
            ("stored", Some(fetched_at)) => Some(Self::Stored { fetched_at }),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Stored { .. } => "stored",
        }
    }

    #[must_use]
    pub fn fetched_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Record => None,
            Self::Stored { fetched_at } => Some(fetched_at),
        }
    }
}

/// The value of a payment in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Valuation {
    /// US dollars for one unit of the payment's currency.
    pub exchange_rate: Decimal,
    pub amount_usd: Option<Decimal>,
    pub fee_usd: Option<Decimal>,
    pub origin: RateOrigin,
}

impl Valuation {
    /// Uses the record's own rate, otherwise the stored rate of the payment's time. A payment in US dollars needs no rate.
    #[must_use]
    pub fn new(payment: &Transaction, rates: &Rates) -> Option<Self> {
        let Transaction { amount, fee, amount_usd, fee_usd, .. } = *payment;
        if let Some(exchange_rate) = payment.exchange_rate {
            return Some(Self { exchange_rate, amount_usd, fee_usd, origin: RateOrigin::Record });
        }
        if payment.currency.as_str() == "USD" {
            return Some(Self::at(Decimal::ONE, RateOrigin::Record, amount, fee));
        }
        Some(Self::at_stored_rate(rates.find(&payment.currency, payment.created_at)?, amount, fee))
    }

    #[must_use]
    pub fn at_stored_rate(rate: ExchangeRate, amount: Decimal, fee: Option<Decimal>) -> Self {
        Self::at(rate.usd, RateOrigin::Stored { fetched_at: rate.fetched_at }, amount, fee)
    }

    fn at(exchange_rate: Decimal, origin: RateOrigin, amount: Decimal, fee: Option<Decimal>) -> Self {
        let in_dollars = |amount| in_dollars(amount, exchange_rate);
        Self { exchange_rate, amount_usd: in_dollars(amount), fee_usd: fee.and_then(in_dollars), origin }
    }
}

#[cfg(test)]
mod tests;
