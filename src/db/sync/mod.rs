//! State of the syncs: runs, stream cursors, history coverage and quarantined records.

pub mod history;
pub mod quarantine;
pub mod runs;
pub mod streams;
