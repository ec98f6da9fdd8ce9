//! Reconciliation of a day, and its results.
//!
//! The comparison runs in the database, so that a day with a million transactions is never sent to a worker. It takes two
//! statements, each in its own file (`judge.sql`, `merge_discrepancies.sql`), in one transaction with one snapshot. Matched
//! payments are only counted, not written: a million rows per day would cost more than the transactions themselves, and they can
//! be derived from what is written.
//!
//! Rejected: temporary tables between smaller statements. Writing a million rows twice took longer than comparing them.

pub mod facts;
pub mod judge;
pub mod last_findings;
pub mod merge_discrepancies;
pub mod open_discrepancies;
pub mod record;
pub mod results;
pub mod runs;
pub mod unsettled;
