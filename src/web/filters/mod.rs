//! The filters that a list and its export share. They stand below the resources, which do not know each other.

pub(in crate::web) mod discrepancies;
pub(crate) mod metrics;
pub(crate) mod transactions;
