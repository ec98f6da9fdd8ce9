//! What the business is made of: payments, money, days, jobs, events.
//!
//! Pure by law: no IO, no async, no clock, no SQL, no HTTP. Whatever is here can be tested as a table of cases,
//! and whoever wants to know a rule of the business finds it here and nowhere else.

pub mod access;
pub mod backoff;
pub mod day;
pub mod discrepancy;
pub mod event;
pub mod exchange_rate;
pub mod job;
pub mod metadata;
pub mod metrics;
pub mod money;
pub mod rate;
pub mod reconciliation;
pub mod record;
pub mod replay;

pub mod masking;
pub mod schedule;
pub mod secret;
pub mod status;
pub(crate) mod string_enum;
pub mod sync;
pub mod time_range;
pub mod transaction;
pub mod triage;
pub mod upsert;
pub mod version;
