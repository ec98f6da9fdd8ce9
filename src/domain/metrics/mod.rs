//! What is counted of payments, and how it is asked for.
//!
//! ```text
//!   payment ──> place ──> cells            a payment adds itself to one cell of every facet and width   (cell, amount_band)
//!   question ──> slots ──> cover           a question's times are put together from the widest cells    (question, slots, cover)
//! ```
//!
//! Which stretches of time are held against each other, and what the last minutes are, is said in `comparison` and `minutes`.
//!
//! A cell of everything at once (a quarter of an hour, by every dimension) was rejected after it was measured: at ten million
//! payments nearly every payment had a cell of its own, and an overview of thirty days had to add up millions. Here each
//! facet knows the dimensions of one kind of question and no more, and a day in the middle of a period is one cell.

pub mod amount_band;
pub mod cell;
pub mod comparison;
pub mod granularity;
pub mod minutes;
pub mod query;
pub mod rollup_plan;
pub mod time_buckets;
