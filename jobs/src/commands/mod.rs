//! The commands of `psp-jobs` other than `worker` and `scheduler`.

pub mod enqueue;
pub mod quarantine;
