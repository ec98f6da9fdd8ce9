//! Reconciliation: the runs there were, what each found, and what is left to look into.

pub mod open_cases;
pub mod results;
pub mod runs;
pub mod unsettled;
