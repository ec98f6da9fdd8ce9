//! The results of the benchmarks, and the document that is written from them.
//!
//! A package of its own and not part of the benchmark program: `make check` compares the document with the results, which
//! must not need a release build or a server, and `cargo test` runs the unit tests of the pure parts.

pub mod about;
pub mod costs;
pub mod document;
pub mod error;
pub mod fingerprint;
mod growth;
mod numbers;
pub mod results;
mod svg;
mod tables;
