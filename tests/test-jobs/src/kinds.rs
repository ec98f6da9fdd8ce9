//! The policies of the test kinds.

use std::time::Duration;

use psp_dashboard::domain::backoff::Backoff;
use psp_dashboard::domain::job::{JobKind, NewJob, SuspectPolicy, Trigger};
use serde_json::Value;

pub const NO_OP: JobKind = JobKind {
    name: "no-op",
    queue: "test",
    timeout: Duration::from_mins(10),
    max_attempts: 3,
    backoff: Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(1) },
    limit_key: None,
    suspects: SuspectPolicy::Short { budget: Duration::from_mins(5) },
};

pub const COUNTING: JobKind = JobKind { name: "counting", ..NO_OP };

pub const SLEEPING: JobKind = JobKind { name: "sleeping", suspects: SuspectPolicy::Long, ..NO_OP };

/// A suspect of this kind is handed back before it has slept for long.
pub const DOZING: JobKind =
    JobKind { name: "dozing", suspects: SuspectPolicy::Short { budget: Duration::from_secs(2) }, ..NO_OP };

pub const CRASHING: JobKind = JobKind { name: "crashing", ..NO_OP };

pub const PANICKING: JobKind = JobKind { name: "panicking", ..NO_OP };

pub const FAILING: JobKind = JobKind { name: "failing", ..NO_OP };

/// A job of `kind` without a unique key: it joins no other, even one with equal arguments.
#[must_use]
pub fn job(kind: &'static JobKind, args: Value) -> NewJob {
    NewJob { unique_key: None, ..NewJob::with_args(kind, args, Trigger::Api) }
}
