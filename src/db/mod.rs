//! All SQL, a file a table or a question.
//!
//! Functions take a connection where they are part of somebody's transaction and the pool where they stand alone. Rows
//! become domain types here or not at all: an impossible row is an error, never a default. Statements are checked at
//! compile time against the migrations (`.sqlx`); only the listings with optional filters are put together at run time.

pub mod api_keys;
pub mod audit;
pub mod claims;
pub mod count;
pub mod cursor_key;
pub mod discrepancies;
pub mod error;
pub mod events;
pub mod exchange_rates;
pub mod exports;
pub mod freshness;
pub mod idempotent_requests;
pub mod job_control;
pub mod job_listing;
pub mod jobs;
pub mod last_findings;
pub mod leases;
pub mod merchants;
pub mod metadata;
pub mod metric_cells;
pub mod metric_sums;
mod payment_filter;
pub mod pool;
pub mod processes;
pub mod quarantine;
pub mod queues;
pub mod reconciliation;
pub mod schedule;
pub mod schedules;
pub mod session;
pub mod snapshot;
pub mod sync_history;
pub mod sync_runs;
pub mod sync_streams;
pub mod transaction_detail;
pub mod transaction_search;
pub mod transactions;
pub mod unvalued;

pub use error::DbError;
