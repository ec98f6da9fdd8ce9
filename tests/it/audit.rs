//! The audit log: every change has an entry, and the entries form a chain that cannot be changed unnoticed.

mod chain;
mod operations;
mod refusals;
