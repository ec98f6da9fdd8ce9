//! A feed's JSON, turned into US dollars.
//!
//! A rate that cannot be used is skipped and named: one token's odd number must not keep the rupee from us. What a feed
//! says of its own time is left alone: feeds say it in as many ways as there are, and what counts is what we knew when.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::domain::exchange_rate::dollars_for_one;
use crate::domain::money::Currency;
use crate::providers::field::{Field, FieldError, Object};
use crate::providers::http::{Rejection, message_of};

/// How many of the skipped are named, and how much of each name, in characters.
const NAMED: usize = 100;
const NAME_LENGTH: usize = 20;

/// What a feed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestRates {
    /// US dollars for one unit of each currency; the dollar itself is not among them.
    pub usd: BTreeMap<Currency, Decimal>,
    /// The currencies, as the feed calls them, whose rates cannot be used.
    pub skipped: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct FeedJson<'a> {
    base: Field<'a>,
    base_code: Field<'a>,
    rates: Field<'a>,
}

/// Reads an answer.
pub(super) fn read_rates(answer: &str) -> Result<LatestRates, Rejection> {
    let unreadable = |error: serde_json::Error| Rejection::Unreadable(error.to_string());
    let Object(feed): Object<FeedJson<'_>> = serde_json::from_str(answer).map_err(unreadable)?;
    let Some(rates) = feed.rates.json() else {
        let complaint = message_of(answer).map(Rejection::Failed);
        return Err(complaint.unwrap_or_else(|| Rejection::Unreadable("rates is missing".to_owned())));
    };
    let rates: BTreeMap<Cow<'_, str>, Field<'_>> = serde_json::from_str(rates).map_err(unreadable)?;
    let base = base(&feed).map_err(|error| Rejection::Unreadable(error.to_string()))?;
    in_dollars(base, rates)
}

/// The currency that the rates are units for one of.
fn base(feed: &FeedJson<'_>) -> Result<Currency, FieldError> {
    let base = match feed.base.currency("base")? {
        Some(base) => Some(base),
        None => feed.base_code.currency("base_code")?,
    };
    base.ok_or(FieldError::Missing { field: "base" })
}

/// The rates, which are units of each currency for one unit of `base`, as US dollars for one unit of each currency.
fn in_dollars(base: Currency, rates: BTreeMap<Cow<'_, str>, Field<'_>>) -> Result<LatestRates, Rejection> {
    let mut skipped = vec![];
    let mut units = BTreeMap::new();
    for (code, rate) in rates {
        match (code.parse::<Currency>(), rate.decimal("rates")) {
            (Ok(currency), Ok(Some(rate))) if rate > Decimal::ZERO => drop(units.insert(currency, rate)),
            _ => skipped.push(shown(&code)),
        }
    }
    units.insert(base, Decimal::ONE);
    let dollar = Currency::usd();
    let dollars = units.remove(&dollar).ok_or_else(|| Rejection::Unreadable("rates has no usable USD".to_owned()))?;
    let mut usd = BTreeMap::new();
    for (currency, units) in units {
        match dollars_for_one(dollars, units) {
            Some(rate) => drop(usd.insert(currency, rate)),
            None => skipped.push(shown(currency.as_str())),
        }
    }
    if usd.is_empty() {
        return Err(Rejection::Unreadable("rates has no usable rate".to_owned()));
    }
    skipped.truncate(NAMED);
    Ok(LatestRates { usd, skipped })
}

/// A name as it may be kept: no letter of it that the database cannot hold.
fn shown(code: &str) -> String {
    code.chars().filter(|letter| !letter.is_control()).take(NAME_LENGTH).collect()
}

#[cfg(test)]
mod tests;
