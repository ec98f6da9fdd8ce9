//! The backend of a payments dashboard: durable syncs of several processors, REST and WebSocket.
//!
//! Arrows point down, and a test asserts it (`tests/it/layers.rs`):
//!
//! ```text
//!   web    (jobs, a package of its own)      two heads that never know each other
//!     \      /
//!    operations                              what the system does, one use case a file
//!     /   |   \  \
//!   db providers redis objects                peers that never know each other: PostgreSQL, HTTP, Redis, files
//!     \   |   /  /
//!      domain                                pure: no IO, no async, no clock
//! ```
//!
//! `web` and `jobs` may read from `db` directly. `config`, `clock` and `telemetry` stand beside the stack;
//! `check` looks at all of it.

pub mod check;
pub mod clock;
pub mod config;
pub mod db;
pub mod domain;
pub mod objects;
pub mod operations;
pub mod providers;
pub mod redis;
pub mod shutdown;
pub mod tabular;
pub mod telemetry;
pub mod web;
