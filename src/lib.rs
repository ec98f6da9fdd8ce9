//! Stub.
pub mod clock;
pub mod domain;
