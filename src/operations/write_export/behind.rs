//! Threads that let everybody else go first.
//!
//! An export keeps a processor busy for seconds, and whoever waits for an answer of a millisecond should not have to wait for
//! it. On the threads of the runtime it would hold up whatever is to run there next; on threads like the others it would take
//! its share of the processors. So each has a thread of its own, of a lower priority where a thread can have one (Linux).

use std::future::Future;
use std::io;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How much less urgent: some tenth of a share, where somebody else wants the processor.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Runs `task` to its end on such a thread.
pub(super) fn run_behind(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let runtime = Handle::current();
    begin_behind(move || runtime.block_on(task)).map(drop)
}

/// Does `work`, which blocks, on such a thread. What comes of it is received; nothing is where it panics.
pub(super) fn begin_behind<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (done, receiver) = oneshot::channel();
    thread::Builder::new().name("export".to_owned()).spawn(move || {
        step_back();
        // Whoever asked may have gone.
        let _received = done.send(work());
    })?;
    Ok(receiver)
}

fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(%error, "a thread cannot be made less urgent");
    }
}
