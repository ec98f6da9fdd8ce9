//! All SQL, a file a table or a question.
//!
//! Functions take a connection where they are part of somebody's transaction and the pool where they stand alone. Rows
//! become domain types here or not at all: an impossible row is an error, never a default. Statements are checked at
//! compile time against the migrations (`.sqlx`); only the listings with optional filters are put together at run time.

pub mod access;
pub mod count;
pub mod discrepancies;
pub mod error;
pub mod events;
pub mod exports;
pub mod jobs;
pub mod metadata;
pub mod metrics;
pub mod page;
pub mod pool;
pub mod reconciliation;
pub mod snapshot;
pub mod sync;
pub mod transactions;
mod types;

pub use error::DbError;
