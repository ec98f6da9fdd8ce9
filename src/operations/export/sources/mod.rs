//! What an export can contain: one source of rows a file.

pub mod metrics_summary;
pub mod payshack_clients;
pub mod reconciliation;
pub mod transactions;
