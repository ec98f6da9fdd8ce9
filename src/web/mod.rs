//! The web process: REST, live events, the documents that describe both.
//!
//! Dependencies point down: `app`, then the resources (a folder each, none knows another; live events are one), then what
//! several resources share (`filters`, `responses`), then `state`, then `http`. `tests/it/layers.rs` asserts it.

mod access;
mod alerts;
pub mod app;
mod bulk_actions;
mod console;
pub mod events;
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
mod report_schedules;
mod responses;
mod saved_views;
pub mod state;
mod sync;
mod transactions;
mod webhooks;
