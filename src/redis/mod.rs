//! All access to Redis: wake-ups of the job queues, events for dashboards, tickets, request rates.
//!
//! Redis is never the source of truth: everything lost with it is found again in PostgreSQL within seconds. Nor is it trusted:
//! what is read from it can only cause a look into PostgreSQL, or a refusal (docs/security.md).

pub mod address;
pub mod connection;
pub mod error;
pub mod events;
mod failover;
pub mod namespace;
pub mod queue;
pub mod rate_limits;
pub mod reconnecting;
pub mod sentinels;
pub mod tickets;

pub use connection::Redis;
pub use error::RedisError;
