//! The current key, and the audit log.

pub(crate) mod audit;
pub(crate) mod me;
