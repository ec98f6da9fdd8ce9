//! A feed of exchange rates, of the shape that most of them share: `{"base":"USD","rates":{"INR":83.2}}`.
//!
//! Which feed is a setting, so nothing of any one of them is known here: not its base, not its currencies, not where in
//! the address it wants its key.

mod client;
mod wire;

pub use client::{ExchangeRatesClient, FeedUrl};
pub use wire::LatestRates;
