//! What a payment is worth in US dollars, and by whose word.
//!
//! A record that brings a rate of its own is valued by it. Any other is valued by the rates that we fetched ourselves: by
//! the one that held when the payment came to be, so that it is worth the same however late it is told of, or told again.
//! Rejected: the newest rate (a payment would be worth something else after each change), and a constant where no rate is
//! known (a made-up number looks like any other).

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::money::Currency;
use super::transaction::Transaction;

/// A rate further away from a payment than this says nothing about it, in days.
pub const MAX_RATE_DISTANCE_DAYS: i64 = 30;

/// How many decimals a stored rate has: enough for eight digits of the rial, and few enough for an exact product.
const DECIMALS: u32 = 12;

/// US dollars for one unit of a currency, given what one unit of some third one is in both. As banks round, the half goes
/// to the even digit. None where there is no such rate.
#[must_use]
pub fn dollars_for_one(dollars: Decimal, units: Decimal) -> Option<Decimal> {
    let positive = |rate: &Decimal| *rate > Decimal::ZERO;
    let rate = Some(dollars).filter(positive)?.checked_div(Some(units).filter(positive)?)?;
    Some(rate.round_dp(DECIMALS).normalize()).filter(positive)
}

/// An amount in US dollars: the exact product, for as long as 28 digits hold it. None where it is beyond any number.
#[must_use]
pub fn in_dollars(amount: Decimal, rate: Decimal) -> Option<Decimal> {
    Some(amount.checked_mul(rate)?.normalize())
}

/// A rate as we fetched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeRate {
    /// US dollars for one unit of its currency.
    pub usd: Decimal,
    /// When it was fetched.
    pub fetched_at: DateTime<Utc>,
}

/// The rates that are stored, by currency and time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rates(BTreeMap<Currency, BTreeMap<DateTime<Utc>, Decimal>>);

impl Rates {
    /// Whether there is any rate of this currency.
    #[must_use]
    pub fn contains(&self, currency: &Currency) -> bool {
        self.0.contains_key(currency)
    }

    /// The rate that held at `time`: the last one fetched until then, else the first one after it; none that is more than
    /// [`MAX_RATE_DISTANCE_DAYS`] away.
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

/// Whose word a payment's rate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateOrigin {
    /// The record's own.
    Record,
    /// Ours.
    Stored {
        /// When it was fetched.
        fetched_at: DateTime<Utc>,
    },
}

impl RateOrigin {
    /// Every name of an origin.
    pub const NAMES: [&'static str; 2] = ["record", "stored"];

    /// The origin of this name, with its time where it has one; none where the two do not go together.
    #[must_use]
    pub fn from_parts(name: &str, fetched_at: Option<DateTime<Utc>>) -> Option<Self> {
        match (name, fetched_at) {
            ("record", _) => Some(Self::Record),
            ("stored", Some(fetched_at)) => Some(Self::Stored { fetched_at }),
            _ => None,
        }
    }

    /// The name in the contract and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Stored { .. } => "stored",
        }
    }

    /// When the rate was fetched, where it was.
    #[must_use]
    pub fn fetched_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Record => None,
            Self::Stored { fetched_at } => Some(fetched_at),
        }
    }
}

/// What a payment is worth in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Valuation {
    /// US dollars for one unit of the payment's currency.
    pub exchange_rate: Decimal,
    /// The amount in US dollars.
    pub amount_usd: Option<Decimal>,
    /// The fee in US dollars, where there is a fee.
    pub fee_usd: Option<Decimal>,
    /// Whose word the rate is.
    pub origin: RateOrigin,
}

impl Valuation {
    /// The value of a payment: by its record, else by the stored rate of its time. A payment in US dollars needs no rate.
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

    /// The value of an amount and a fee by a stored rate.
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
