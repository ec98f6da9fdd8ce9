//! All access to Redis: wake-ups of the job queues, events for dashboards, tickets, request rates.
//!
//! Redis is never the source of truth: everything lost with it is found again in PostgreSQL within seconds.

pub mod connection;
pub mod events;
pub mod queue;
pub mod rate_limits;
pub mod reconnecting;
pub mod tickets;

pub use connection::{Redis, RedisError};
