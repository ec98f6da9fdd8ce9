//! Reconciliation: runs and what they found, a day's summary, and the cases that people work on.

pub(super) mod discrepancy_query;
