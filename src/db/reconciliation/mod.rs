//! Reconciliation of a day, and its results.
//!
//! The comparison runs in the database, so that a day with a million transactions is never sent to a worker, in one transaction
//! with one snapshot. Most payments are plain: one row on each side, with equal values. Grouping the rows of the day by these values
//! counts them; only the others are judged and written (`judge/`), and compared with the discrepancies (`merge_discrepancies.sql`).
//! Matched payments are only counted, not written: a million rows per day would cost more than the transactions themselves, and they
//! can be derived from what is written.
//!
//! Rejected: one statement for everything, which PostgreSQL does not execute in parallel because it writes; temporary tables of all
//! rows of the day, which take longer to write than to compare.

pub mod facts;
pub mod judge;
pub mod last_findings;
pub mod merge_discrepancies;
pub mod not_in_vima;
pub mod open_discrepancies;
pub mod record;
pub mod results;
pub mod runs;
pub mod unsettled;
