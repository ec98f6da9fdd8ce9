//! Rollup cells, packed days, the queries that read them, and the version of the data in them.

pub mod cells;
pub mod data_version;
pub mod final_times;
pub mod merchant;
pub mod merchants;
pub mod original_statuses;
pub mod packed_counts;
pub mod packed_days;
pub mod pending;
pub mod sums;
