//! PayShack: the processor's records of pay-ins and pay-outs in India.
//!
//! Its lists have page numbers over data that changes while it is read, behind a login whose token is valid for half an
//! hour. This module reads pages; the sync handles skipped and repeated records. All processes share one login, so its
//! rules ([`session`]) are separate from the calls.

mod client;
#[cfg(test)]
mod in_memory;
mod login;
mod metadata;
pub mod session;
mod wire;

use super::rules::{SHARED, digest};

pub use client::{PageQuery, PayshackClient, PayshackSettings};
pub use session::{LoginPermit, RefusedLogin, Session, SessionStoreError, SharedSession};
#[cfg(test)]
pub(super) use wire::read_page;
pub use wire::{Projects, TransactionsPage, read_payin, read_payout};

const RULES: u64 = digest(&[include_str!("wire.rs")]);

/// The fingerprint of the rules by which transactions are read: another one if any of them, or a project, changes.
#[must_use]
pub fn rules(projects: &Projects) -> String {
    format!("{SHARED:016x}{RULES:016x}{}", projects.fingerprint())
}
