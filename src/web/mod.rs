//! The head that answers dashboards.

pub mod socket;
