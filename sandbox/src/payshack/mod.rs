//! `PayShack`: the processor-side record, pay-ins and pay-outs in paged lists behind a login.

mod client;
mod entry;
mod envelope;
mod metadata;
mod page;
mod planted;
pub(crate) mod routes;
mod session;
mod transaction;
mod transactions;
mod wire;

pub(crate) use client::Client;
pub(crate) use entry::Entry;
pub(crate) use metadata::{Fields, List, Metadata};
pub(crate) use session::Sessions;
pub(crate) use transaction::{Kind, Transaction};
pub(crate) use transactions::{Slot, Transactions};
