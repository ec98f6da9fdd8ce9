//! The feed's JSON, converted to US dollars.
//!
//! A rate that cannot be used is skipped and reported: one invalid rate, even one that is not JSON, must not block the others. The feed's own
//! timestamp is ignored: its format differs between feeds, and what matters is when the rate was fetched.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::domain::exchange_rate::dollars_for_one;
use crate::domain::money::Currency;
use crate::providers::field::{Field, FieldError, Members, Object};
use crate::providers::http::{Rejection, message_of};
use crate::providers::structure::repair;

/// How many skipped currencies are reported.
const MAX_SKIPPED: usize = 100;
/// In characters.
const MAX_NAME: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestRates {
    /// US dollars per unit of each currency, without USD itself.
    pub usd: BTreeMap<Currency, Decimal>,
    /// The feed's codes of the currencies whose rates cannot be used.
    pub skipped: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct FeedJson<'a> {
    base: Field<'a>,
    base_code: Field<'a>,
    rates: Field<'a>,
}

pub(in crate::providers) fn read_rates(response: &str) -> Result<LatestRates, Rejection> {
    match valid_rates(response) {
        Err(Rejection::Unreadable(reason)) => {
            let repaired = repair(response, &[]).ok().and_then(|repaired| valid_rates(&repaired.json).ok());
            repaired.ok_or(Rejection::Unreadable(reason))
        }
        rates => rates,
    }
}

fn valid_rates(response: &str) -> Result<LatestRates, Rejection> {
    let unreadable = |error: serde_json::Error| Rejection::Unreadable(error.to_string());
    let Object(feed): Object<FeedJson<'_>> = serde_json::from_str(response).map_err(unreadable)?;
    let Some(rates) = feed.rates.json() else {
        let failure = message_of(response).map(Rejection::Failed);
        return Err(failure.unwrap_or_else(|| Rejection::Unreadable("rates is missing".to_owned())));
    };
    let rates: Members<'_> = serde_json::from_str(rates).map_err(unreadable)?;
    let base = base(&feed).map_err(|error| Rejection::Unreadable(error.to_string()))?;
    in_dollars(base, &rates)
}

fn base(feed: &FeedJson<'_>) -> Result<Currency, FieldError> {
    let base = match feed.base.currency("base")? {
        Some(base) => Some(base),
        None => feed.base_code.currency("base_code")?,
    };
    base.ok_or(FieldError::Missing { field: "base" })
}

/// Converts units per unit of `base` into US dollars per unit.
fn in_dollars(base: Currency, rates: &Members<'_>) -> Result<LatestRates, Rejection> {
    let mut skipped = vec![];
    let mut units = BTreeMap::new();
    let mut repeated = BTreeSet::new();
    for (code, rate) in &rates.0 {
        match (code.parse::<Currency>(), rate.decimal("rates")) {
            (Ok(currency), Ok(Some(rate))) if rate > Decimal::ZERO => {
                if units.insert(currency.clone(), rate).is_some() {
                    repeated.insert(currency);
                }
            }
            _ => skipped.push(printable(code)),
        }
    }
    // Which of several rates is right cannot be known.
    for currency in repeated {
        units.remove(&currency);
        skipped.push(printable(currency.as_str()));
    }
    units.insert(base, Decimal::ONE);
    let dollar = Currency::usd();
    let dollars = units.remove(&dollar).ok_or_else(|| Rejection::Unreadable("rates has no usable USD".to_owned()))?;
    let mut usd = BTreeMap::new();
    for (currency, units) in units {
        match dollars_for_one(dollars, units) {
            Some(rate) => drop(usd.insert(currency, rate)),
            None => skipped.push(printable(currency.as_str())),
        }
    }
    if usd.is_empty() {
        return Err(Rejection::Unreadable("rates has no usable rate".to_owned()));
    }
    skipped.sort();
    skipped.truncate(MAX_SKIPPED);
    Ok(LatestRates { usd, skipped })
}

/// A code without characters that the database cannot store.
fn printable(code: &str) -> String {
    code.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests;
