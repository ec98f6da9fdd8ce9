//! Vima: the merchant side's record of every payment, in one list with two cursors.

mod entry;
mod fixture;
mod operation;
mod operation_store;
mod page;
pub(crate) mod routes;
mod wire;

pub(crate) use entry::Entry;
pub(crate) use operation::Operation;
pub(crate) use operation_store::{OperationStore, Slot};
