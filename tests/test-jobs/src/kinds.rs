//! The kinds of job of the trials, and how each is treated.

use std::time::Duration;

use psp_dashboard::domain::backoff::Backoff;
use psp_dashboard::domain::job::{JobKind, NewJob, Trigger};
use serde_json::Value;

/// Does nothing.
pub const NO_OP: JobKind = JobKind {
    name: "no-op",
    queue: "trial",
    timeout: Duration::from_mins(10),
    max_attempts: 3,
    backoff: Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(1) },
    limit_key: None,
};

/// Has one effect.
pub const COUNTING: JobKind = JobKind { name: "counting", ..NO_OP };

/// Takes its time.
pub const SLEEPING: JobKind = JobKind { name: "sleeping", ..NO_OP };

/// Kills the process that it runs in.
pub const CRASHING: JobKind = JobKind { name: "crashing", ..NO_OP };

/// Panics.
pub const PANICKING: JobKind = JobKind { name: "panicking", ..NO_OP };

/// Ends in an error.
pub const FAILING: JobKind = JobKind { name: "failing", ..NO_OP };

/// Every kind of job of the trials.
pub const KINDS: [&JobKind; 6] = [&NO_OP, &COUNTING, &SLEEPING, &CRASHING, &PANICKING, &FAILING];

/// A job of `kind` that joins no other, whatever the others are told.
#[must_use]
pub fn job(kind: &'static JobKind, args: Value) -> NewJob {
    NewJob { unique_key: None, ..NewJob::with_args(kind, args, Trigger::Api) }
}
