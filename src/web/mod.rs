//! The web process: REST, its document, and the WebSocket.
//!
//! A file a resource. What they share: a request says what it wants through `fields` (query and body alike), an answer
//! is made of the words of `schema`, whatever goes wrong is a [`error::Problem`], and who asks is known to [`auth`].
//! poem-openapi derives the document; [`document`] mends what it does not know.

mod access;
pub mod app;
mod export;
mod filters;
mod health;
pub mod http;
mod jobs;
mod metrics;
mod payshack;
mod reconciliation;
pub mod socket;
pub mod state;
mod sync;
mod transactions;
