//! Reports that are sent regularly: the daily digest, and exports.
//!
//! A schedule says what is sent when and where; each of its times is one run. The text of a digest is made here too, because it
//! follows from its figures and the language alone. Rejected: a template engine, whose templates no compiler checks, for one page.

pub mod digest;
pub mod format;
pub mod messages;
pub mod page;
pub mod period;
pub mod recipients;
pub mod schedule;
pub mod text;
