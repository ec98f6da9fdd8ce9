//! What a process reports to Prometheus, and to a collector of [traces].
//!
//! Every layer but the domain may record here, as it may log: the instruments are global, because they belong to the process, and
//! handing them through every function would say nothing. [`catalog`] declares every metric with its labels, [`record`] is how
//! other modules count, [`exposition`] makes the text of a scrape, and [`listener`] serves it on a port of its own.
//!
//! Labels have few values: kinds, sources, route templates. A project, a merchant, an id or a text of a provider is never a
//! label, since each value is a series that Prometheus keeps in memory.

pub mod catalog;
pub mod exposition;
mod family;
pub mod listener;
pub mod record;
pub mod traces;
