//! The commands of `psp-jobs` beside the worker and the scheduler.

pub mod enqueue;
pub mod quarantine;
