//! Runs suspects: jobs that were at work when their worker died, one after another, alone in a process of their own.
//!
//! Which of the jobs that ran side by side killed the worker nobody knows. Alone, the one that did dies again and is known;
//! the others end as if nothing had been. A child process was chosen over a worker that runs nothing else for a while: a
//! sync of an hour need not end first, and what dies in it is one job and not another worker.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Starts a process for suspects whenever there are any.
#[derive(Clone)]
pub struct Isolation {
    program: PathBuf,
    queues: Vec<String>,
    wanted: Arc<Notify>,
}

impl Isolation {
    /// Runs suspects of `queues` in a process of `program`, told so by `worker --isolated`.
    #[must_use]
    pub fn new(program: PathBuf, queues: Vec<String>) -> Self {
        Self { program, queues, wanted: Arc::default() }
    }

    /// There are suspects.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Starts one process after another, whenever one is wanted, until `stop`; then the last one is told to stop too.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.wanted.notified()).await.is_some() {
            let ended = match self.start() {
                Ok(child) => wait(child, &stop).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) => {
                    tracing::warn!(%status, "the process that ran suspects has died; what killed it is known now");
                }
                Err(error) => {
                    tracing::error!(%error, program = %self.program.display(), "no process could be started for suspects");
                }
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(["worker", "--isolated", "--queues"])
            .arg(self.queues.join(","))
            .stdin(Stdio::piped())
            .spawn()
    }
}

/// The child holds the other end of a pipe: it is told to stop by closing it, which our own death does as well.
async fn wait(mut child: Child, stop: &CancellationToken) -> std::io::Result<ExitStatus> {
    let pipe = child.stdin.take();
    if stop.run_until_cancelled(child.wait()).await.is_none() {
        drop(pipe);
    }
    child.wait().await
}
