//! The external APIs: the two payment providers and the exchange rate feed.
//!
//! A provider is a folder with a `client` (a function per call), a `wire` (its JSON, parsed into
//! [`Record`](crate::domain::record::Record)s) and, if needed, a session. Shared parts are beside the folders: the HTTP
//! client ([`http`]) with its errors ([`error`]), retries and [`rate_limit`], and lenient parsers for fields that do not
//! always have their documented type.
//!
//! This module depends only on `domain`. What processes share about a provider (rate limit, session) is a small trait here,
//! implemented in `operations`. There is no `Provider` trait: the providers have no call in common (one has cursors, the
//! other page numbers), and a common trait would hide the uncertainties that each sync has to handle.

#[cfg(test)]
mod damaged_pages;
pub mod endpoint;
pub mod error;
pub mod exchange_rates;
mod field;
#[cfg(test)]
mod fuzz;
pub mod http;
mod page_split;
pub mod payshack;
mod present;
pub mod rate_limit;
mod redaction;
mod rescue;
pub(crate) mod retry;
mod rules;
mod structure;
#[cfg(test)]
mod stub_server;
mod text;
mod upstream;
pub mod vima;

pub use error::{ProviderError, Retry};
pub use http::{HttpClient, HttpSettings};
pub use rate_limit::{RateLimit, Unlimited};
pub use text::readable_text;
pub use upstream::Upstream;
