//! Rollup cells and what is read from them. `data_version` says when a cached answer is out of date.

pub mod cells;
pub mod data_version;
pub mod merchants;
pub mod sums;
