//! The state of syncs: runs, positions in streams, history coverage, rechecks, quarantined records, unreadable pages, and
//! the rules by which records are read.

pub mod history;
pub mod progress;
pub mod quarantine;
pub mod quarantine_search;
pub mod rechecks;
pub mod rules;
pub mod runs;
pub mod streams;
pub mod unreadable_pages;
