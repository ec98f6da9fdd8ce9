//! The state of syncs: runs, positions in streams, history coverage and quarantined records.

pub mod history;
pub mod quarantine;
pub mod runs;
pub mod streams;
