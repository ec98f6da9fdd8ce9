//! The Vima collector: the merchant's records of pay-ins of many projects.
//!
//! One endpoint with two cursors, over creations and over updates. Whether a cursor is inclusive, how late an id becomes
//! visible and how long a page is are unknown, so this module does not decide when a sync is complete: a page only reports
//! the ids that it contained.

mod client;
mod wire;

pub use client::{Credentials, Cursor, OperationsQuery, VimaClient, VimaSettings};
#[cfg(test)]
pub(super) use wire::read_page;
pub use wire::{Operation, OperationsPage, read_operation};
