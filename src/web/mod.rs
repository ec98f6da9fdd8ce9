//! The web process: REST, its document, and the WebSocket.
//!
//! A file a resource. What they share: a request says what it wants through `fields` (query and body alike), an answer
//! is made of the words of `schema`, whatever goes wrong is a [`error::Problem`], and who asks is known to [`auth`].
//! poem-openapi derives the document; [`document`] mends what it does not know.

pub mod app;
mod audit;
pub mod auth;
mod body;
mod cors;
pub mod document;
pub mod error;
mod export;
mod fields;
mod filters;
mod health;
mod idempotency;
mod job_detail;
mod job_query;
mod jobs;
mod me;
mod metrics;
mod page;
mod path;
mod payshack;
mod quarantine;
mod query;
mod queues;
mod reconciliation;
mod request;
mod schedule;
mod schema;
mod server;
pub mod socket;
mod sync;
mod sync_status;
mod transaction_query;
mod transaction_reconciliation;
mod transactions;
mod written;
