//! `psp-jobs` with kinds of job that exist only for tests and benches. Production never knows them: it is the same program
//! with another registry, so that what is killed here is what runs there.
//!
//! Each kind is one way to behave. What a test must know afterwards is in the jobs table or in the table of effects, which has
//! no constraint of its own: whatever comes twice is seen twice.

pub mod counting;
pub mod crashing;
pub mod effects;
pub mod failing;
pub mod kinds;
pub mod no_op;
pub mod panicking;
pub mod schedule;
pub mod sleeping;

use std::sync::Arc;

use psp_jobs::handler::Registry;
use psp_jobs::job_context::JobContext;

use counting::Counting;
use crashing::Crashing;
use failing::Failing;
use no_op::NoOp;
use panicking::Panicking;
use sleeping::Sleeping;

/// Who runs them.
#[must_use]
pub fn registry(context: &Arc<JobContext>) -> Registry {
    Registry::default()
        .with(&kinds::NO_OP, NoOp::new(context))
        .with(&kinds::COUNTING, Counting::new(context))
        .with(&kinds::SLEEPING, Sleeping::new(context))
        .with(&kinds::CRASHING, Crashing::new(context))
        .with(&kinds::PANICKING, Panicking)
        .with(&kinds::FAILING, Failing)
}
