//! The state of syncs: runs, positions in streams, history coverage, rechecks, quarantined records, and the rules by which
//! records are read.

pub mod history;
pub mod quarantine;
pub mod rechecks;
pub mod rules;
pub mod runs;
pub mod streams;
