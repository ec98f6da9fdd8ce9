//! `PayShack`: pay-ins and pay-outs in India, the processor's record of them.
//!
//! Lists by page number over data that moves while it is read, behind a login whose token lives half an hour. The
//! lists are read here; what to make of pages that skip and repeat is the sync's business. The login is shared by all
//! processes, so its rules ([`session`]) stand apart from the calls.

mod client;
#[cfg(test)]
mod in_memory;
mod login;
mod metadata;
pub mod session;
mod wire;

pub use client::{PageQuery, PayshackClient, PayshackSettings};
pub use session::{LoginPermit, RefusedLogin, Session, SessionStoreError, SharedSession};
pub use wire::{Projects, TransactionsPage, read_payin, read_payout};
