//! `psp-jobs` with kinds that exist only for tests and benchmarks: the same program with another registry.
//!
//! Each kind is one way to behave. What a test checks afterwards is in the jobs table and in the table of effects, which has
//! no unique constraint, so that a repeated effect is visible.

pub mod counting;
pub mod crashing;
pub mod dozing;
pub mod effects;
pub mod failing;
pub mod kinds;
pub mod no_op;
pub mod panicking;
pub mod schedule;
pub mod sleeping;

use psp_jobs::handler::Registry;
use psp_jobs::registry;

pub const REGISTRY: Registry = registry![
    no_op::NoOp,
    counting::Counting,
    sleeping::Sleeping,
    dozing::Dozing,
    crashing::Crashing,
    panicking::Panicking,
    failing::Failing,
];
