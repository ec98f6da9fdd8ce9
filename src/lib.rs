//! Stub.
pub mod clock;
pub mod domain;
pub mod providers;
