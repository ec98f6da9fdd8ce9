//! The current key, and the audit log.

pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod me;
