//! Reconciliation: judging a day, and what is kept of it.
//!
//! The join happens here, in the database: a day of a million payments never passes through a worker. Two statements do
//! it, each in a file of its own (`judge.sql`, `merge_discrepancies.sql`), in one transaction over one snapshot. What is plainly
//! matched is counted and not written: a million rows a day that say "as it should be" would cost more than the payments
//! themselves, and what is matched is what is left of the day.
//!
//! Temporary tables between smaller statements were rejected: writing a million rows twice took longer than judging them.

pub mod facts;
pub mod judge;
pub mod last_findings;
pub mod merge_discrepancies;
pub mod open_discrepancies;
pub mod record;
pub mod results;
pub mod runs;
pub mod unsettled;
