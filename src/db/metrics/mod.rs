//! Rollup cells, the queries that read them, and the version of the data in them.

pub mod cells;
pub mod data_version;
pub mod merchants;
pub mod sums;
