//! Runs the rows of the jobs table: `worker` claims and executes them, `scheduler` enqueues what is due, and `kinds` has a
//! file for each kind of job.
//!
//! ```text
//!   scheduler ──> jobs table ──> wake-ups ──> claimer ──> executor ──> kinds: sync_vima, sync_payshack, housekeeping, …
//!   (table)          ^           (Redis)                     │
//!                    └── maintenance (lease_monitor, isolation)
//! ```
//!
//! `worker::wakeup_listener` is the only consumer of apalis, `scheduler` the only user of apalis-cron. A handler knows
//! neither: it receives a job and returns its result.

pub mod commands;
pub mod handler;
pub mod job_context;
pub mod job_error;
pub mod kinds;
pub mod program;
pub mod scheduler;
pub mod worker;

/// For the `registry!` macro.
#[doc(hidden)]
pub use tracing;
