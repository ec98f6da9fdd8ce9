//! All SQL, one file per table or query.
//!
//! A function takes a connection if it is part of the caller's transaction, and the pool if it runs alone. Rows become
//! domain types; a value that the program cannot have written is an error, never a default. Statements are checked at compile
//! time against the migrations (`.sqlx`); only listings with optional filters are built at run time.
//!
//! Verbs: `find` returns an `Option`, `get` always returns a value, `list` returns rows, `insert`, `upsert` and `delete` write,
//! `lock` locks rows until the transaction ends, `prune` deletes what has expired and returns how many rows that were. Every
//! function can fail with a [`DbError`]; an `# Errors` section names the ones that callers must handle.

pub mod access;
pub mod alerts;
pub mod bulk_actions;
mod connection_checks;
pub mod connection_limit;
pub mod count;
pub mod discrepancies;
pub mod erasure;
pub mod error;
pub mod events;
pub mod exports;
pub mod installation;
pub mod installation_state;
pub mod jobs;
pub mod lock_holders;
pub mod metadata;
pub mod metrics;
pub mod migrate;
pub mod page;
pub mod pool;
mod pooler;
pub mod process_connections;
pub mod providers;
pub mod reads;
pub mod reconciliation;
pub mod reports;
pub mod saved_views;
mod session_limits;
pub mod settings;
pub mod snapshot;
pub mod sync;
pub mod transactions;
mod types;
pub mod webhooks;
pub mod writable;

pub use error::DbError;
