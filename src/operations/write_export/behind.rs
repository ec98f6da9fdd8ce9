//! Threads that let everybody else go first.
//!
//! An export keeps a processor busy for seconds, and whoever waits for an answer of a millisecond should not have to wait for
//! it. On the threads of the runtime it would hold up whatever is to run there next; on threads like the others it would take
//! its share of the processors. So each has a thread of its own, of a lower priority where a thread can have one (Linux).

use std::future::Future;
use std::io;
use std::thread;

use tokio::runtime::Handle;

/// How much less urgent: some tenth of a share, where somebody else wants the processor.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Runs a task to its end on such a thread. It may block there.
pub(super) fn run_behind<F: Future>(task: impl FnOnce() -> F + Send + 'static) -> io::Result<()> {
    let runtime = Handle::current();
    thread::Builder::new().name("export".to_owned()).spawn(move || {
        step_back();
        runtime.block_on(task());
    })?;
    Ok(())
}

fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(%error, "a thread cannot be made less urgent");
    }
}
