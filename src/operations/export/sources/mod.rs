//! The data that can be exported, one source per file.

pub mod lookup;
pub mod metrics_summary;
pub mod payshack_clients;
pub mod reconciliation;
pub mod transactions;
