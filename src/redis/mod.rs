//! All Redis: the bells of the queues, the events for dashboards, and the little that processes share about a provider.
//!
//! Nothing here is the truth. Whatever is lost with Redis is found again in PostgreSQL, seconds later.

pub mod connection;
pub mod events;
pub mod provider_session;
pub mod queue;
pub mod rate_limit;
pub mod tickets;

pub use connection::{Redis, RedisError};
