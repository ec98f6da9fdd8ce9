//! The backend of a payments dashboard: durable syncs of several processors, REST and WebSocket.
//!
//! Dependencies point down; `tests/it/layers.rs` asserts it:
//!
//! ```text
//!   web      jobs (its own package)      do not know each other
//!     \      /
//!    operations                          the use cases, one per file
//!     /   |   \   \
//!   db providers redis objects           do not know each other: SQL, HTTP, Redis, object stores
//!     \   |   /   /
//!      domain                            pure: no IO, no async, no clock
//! ```
//!
//! `web` and `jobs` may read from `db` directly. `tabular` turns rows into CSV, NDJSON and workbooks. `config`, `clock`,
//! `outbound`, `observability`, `progress`, `telemetry` and `shutdown` are outside the stack; `check` and `erase`, which are commands,
//! use all of it.

pub mod check;
pub mod clock;
pub mod config;
pub mod db;
pub mod domain;
pub mod erase;
#[cfg(test)]
mod fuzzing;
pub mod objects;
pub mod observability;
pub mod operations;
pub mod outbound;
pub mod progress;
pub mod providers;
pub mod redis;
pub mod shutdown;
pub mod tabular;
pub mod telemetry;
pub mod web;
