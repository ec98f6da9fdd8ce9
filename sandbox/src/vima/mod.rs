//! Vima: the merchant-side record of every payment, one list with two cursors.

mod entry;
mod operation;
mod operations;
mod page;
mod planted;
pub(crate) mod routes;
mod wire;

pub(crate) use entry::Entry;
pub(crate) use operation::Operation;
pub(crate) use operations::{Operations, Slot};
