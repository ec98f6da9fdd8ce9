//! What the business is made of: payments, money, days, jobs, events.
//!
//! Pure by law: no IO, no async, no clock, no SQL, no HTTP. Whatever is here can be tested as a table of cases,
//! and whoever wants to know a rule of the business finds it here and nowhere else.

pub mod day;
pub mod money;
pub mod record;
pub mod secret;
pub mod status;
pub mod transaction;
pub mod version;
