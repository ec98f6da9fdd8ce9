//! Filters that several resources share, such as a list and its export.

pub(in crate::web) mod bulk;
pub(in crate::web) mod discrepancies;
pub(in crate::web) mod export;
pub(crate) mod metrics;
pub(in crate::web) mod pasted_ids;
pub(in crate::web) mod payshack;
pub(in crate::web) mod rows_link;
pub(crate) mod transactions;
