//! What all processes share about a provider: its session, its logins and its rate limit.
//!
//! In PostgreSQL and not in Redis, because syncs must go on while Redis is unavailable, and without PostgreSQL no job runs
//! anyway.

pub mod logins;
pub mod pauses;
pub mod request_slots;
pub mod sessions;
