//! The current caller, sessions of browsers, and the audit log.

pub(crate) mod api_keys;
pub(crate) mod audit;
mod browser;
pub(crate) mod me;
pub(crate) mod oidc;
pub(crate) mod session;
