//! PayShack: the processor side's records, pay-ins and pay-outs in paged lists that require a login.

mod client;
mod entry;
mod envelope;
mod fixture;
mod metadata;
mod page;
pub(crate) mod routes;
mod session;
mod transaction;
mod transaction_store;
mod wire;

pub(crate) use client::Client;
pub(crate) use entry::Entry;
pub(crate) use metadata::{Metadata, MetadataFields, MetadataList};
pub(crate) use session::Sessions;
pub(crate) use transaction::{Transaction, TransactionKind};
pub(crate) use transaction_store::{Slot, TransactionStore};
