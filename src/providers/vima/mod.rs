//! The Vima collector: pay-ins of many projects, the merchant's record of them.
//!
//! One endpoint with two cursors: over creations, and over updates. What a cursor includes, how late an id becomes
//! visible, how long a page is: all unknown, so nothing here decides when a sync is at its end. A page only says which
//! ids it brought.

mod client;
mod wire;

pub use client::{Credentials, Cursor, OperationsQuery, VimaClient, VimaSettings};
pub use wire::{Operation, OperationsPage, read_operation};
