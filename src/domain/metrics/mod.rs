//! Metrics of payments: rollup cells, and queries on them.
//!
//! ```text
//!   payment ──> dimensions ──> cells       a payment is added to one cell of every facet and width   (cell, amount_band)
//!   query ──> buckets ──> rollup plan      the time of a query is covered by the widest cells        (query, time_buckets, rollup_plan)
//!   cells of a day ──> packed cells        a finished day is read as a whole, and added up here          (packed_cells, packed_plan, row_sums)
//! ```
//!
//! Rejected after measuring: one cell per quarter of an hour and combination of all dimensions. With ten million payments
//! nearly every payment had its own cell, and an overview of thirty days had to add up millions. Here each facet has only
//! the dimensions of one kind of query, and a whole day within a period is one cell.

pub mod amount_band;
pub mod cell;
pub mod comparison;
pub mod counting;
pub mod failure_periods;
pub mod granularity;
pub mod local_times;
pub mod minutes;
pub mod own_weeks;
pub mod packed_cells;
pub mod packed_plan;
pub mod pending_age;
pub mod query;
pub mod rollup_plan;
pub mod row_sums;
pub mod time_buckets;
