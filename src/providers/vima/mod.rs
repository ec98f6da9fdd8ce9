//! The Vima collector: the merchant's records of pay-ins of many projects.
//!
//! One endpoint with two cursors, over creations and over updates. Whether a cursor is inclusive, how late an id becomes
//! visible and how long a page is are unknown, so this module does not decide when a sync is complete: a page only reports
//! the ids that it contained.

mod client;
mod page;
mod wire;

use super::rules::{SHARED, digest};

pub use client::{Credentials, Cursor, OperationsQuery, VimaClient, VimaSettings};
pub use page::OperationsPage;
#[cfg(test)]
pub(super) use page::read_page;
pub use wire::{Operation, read_operation};

const RULES: u64 = digest(&[include_str!("wire.rs"), include_str!("../../domain/exchange_rate.rs")]);

/// The fingerprint of the rules by which operations are read: another one if any of them changes.
#[must_use]
pub fn rules() -> String {
    format!("{SHARED:016x}{RULES:016x}")
}
