//! The web process: REST, the OpenAPI document, WebSocket.
//!
//! Dependencies point down: `app`, then the resources (a folder each, none knows another; the WebSocket is one), then what
//! several resources share (`filters`, `responses`), then `state`, then `http`. `tests/it/layers.rs` asserts it.

mod access;
pub mod app;
mod export;
mod filters;
#[cfg(test)]
mod fuzz;
mod health;
pub mod http;
mod jobs;
mod metrics;
mod payshack;
mod prometheus;
mod reconciliation;
mod responses;
pub mod socket;
pub mod state;
mod sync;
mod transactions;
