//! Payments, money, days, jobs, events: the rules of the business.
//!
//! Pure: no IO, no async, no clock, no SQL, no HTTP, so every rule can be tested with a table of cases.

pub mod access;
pub mod alerts;
pub mod backoff;
pub mod bulk_action;
pub mod day;
pub mod discrepancy;
pub mod entity_tag;
pub mod erasure;
pub mod event;
pub mod exchange_rate;
pub mod export_quota;
pub mod job;
pub mod loopback;
pub mod masking;
pub mod metadata;
pub mod metrics;
pub mod money;
pub mod network;
pub mod outlier;
pub mod rate;
pub mod rate_limit;
pub mod recheck;
pub mod reconciliation;
pub mod record;
pub mod replay;
pub mod reports;
pub mod retention;
pub mod schedule;
pub mod sealing;
pub mod secret;
pub mod session;
pub mod status;
pub(crate) mod string_enum;
pub mod subscription;
pub mod sync;
pub mod time_range;
pub mod trace;
pub mod transaction;
pub mod triage;
pub mod upsert;
pub mod version;
pub mod webhook;
