//! The exchange rate feed, in the common form `{"base":"USD","rates":{"INR":83.2}}`.
//!
//! The feed is configurable, so this module makes no assumption about its base, its currencies or the place of a key in
//! its URL.

mod client;
mod wire;

pub use client::{ExchangeRatesClient, FeedUrl};
pub use wire::LatestRates;
#[cfg(test)]
pub(in crate::providers) use wire::read_rates;
