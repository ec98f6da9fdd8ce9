//! The providers: whoever tells us of payments, and of what their currencies are worth.
//!
//! A provider is a folder with a `client` (its calls, one function each), a `wire` (its JSON, read into
//! [`Record`](crate::domain::record::Record)s) and, where it wants one, a session. What all of them share lies beside
//! the folders: the one HTTP client ([`http`]), its errors ([`error`]), its rate_limit ([`rate_limit`]), and the lenient readers of
//! fields that providers promise and do not keep.
//!
//! This room knows only `domain`. What a provider shares with the other processes (its turn to ask, its session) is a
//! small trait here, filled in elsewhere. There is no trait "Provider": the two have no call in common, cursors here
//! and pages there, and a trait over both would only hide which unknowns a sync has to live with.

pub mod error;
pub mod exchange_rates;
mod field;
pub mod http;
pub mod payshack;
pub mod rate_limit;
mod redaction;
pub(crate) mod retry;
#[cfg(test)]
mod stub_server;
mod upstream;
pub mod vima;

pub use error::{ProviderError, Retry};
pub use http::{HttpClient, HttpSettings, readable_text};
pub use rate_limit::{RateLimit, Unlimited};
pub use upstream::Upstream;
