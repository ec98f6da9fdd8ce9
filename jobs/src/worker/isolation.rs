//! Runs suspects, jobs whose worker died while they ran, each alone in a child process.
//!
//! It is unknown which of the jobs that ran concurrently killed the worker. The one that did kills the child process too, and
//! is identified; the others end normally. A child process was chosen over a worker that runs nothing else for a while: no
//! long sync has to end first, and a death costs one job, not another worker.
//!
//! There are two processes at most: one for short suspects, such as live syncs, and one for long ones, such as exports, so
//! that new data never waits for an export. One process per suspect was rejected: eight at once would need eight times the
//! memory and connections, on a host that may have run out of memory.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use psp_dashboard::domain::job::SuspectLength;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
pub struct Isolation {
    program: PathBuf,
    /// The name of this worker.
    worker: String,
    queues: Vec<String>,
    short_requested: Arc<Notify>,
    long_requested: Arc<Notify>,
}

impl Isolation {
    /// Runs suspects of `queues` in processes of `program worker --isolated`.
    #[must_use]
    pub fn new(program: PathBuf, worker: String, queues: Vec<String>) -> Self {
        Self { program, worker, queues, short_requested: Arc::default(), long_requested: Arc::default() }
    }

    /// Requests a process, because there may be suspects of this length.
    pub fn request(&self, length: SuspectLength) {
        self.requested(length).notify_one();
    }

    fn requested(&self, length: SuspectLength) -> &Notify {
        match length {
            SuspectLength::Short => &self.short_requested,
            SuspectLength::Long => &self.long_requested,
        }
    }

    /// Runs processes until `stop`, one at a time for each length; then stops the running ones.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(self.run_all(SuspectLength::Short, &stop), self.run_all(SuspectLength::Long, &stop));
    }

    /// Runs one process at a time, whenever one is requested.
    async fn run_all(&self, length: SuspectLength, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.requested(length).notified()).await.is_some() {
            let ended = match self.start(length) {
                Ok(child) => wait(child, stop).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) => {
                    tracing::warn!(%status, length = length.as_str(), "the process that ran a suspect died; its job is identified");
                }
                Err(error) => {
                    tracing::error!(%error, program = %self.program.display(), "failed to start a process for suspects");
                }
            }
        }
    }

    fn start(&self, length: SuspectLength) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(["worker", "--isolated", length.as_str(), "--parent", &self.worker, "--queues"])
            .arg(self.queues.join(","))
            .stdin(Stdio::piped())
            .spawn()
    }
}

/// The child stops when its standard input is closed: by us, or by the death of this process.
async fn wait(mut child: Child, stop: &CancellationToken) -> std::io::Result<ExitStatus> {
    let pipe = child.stdin.take();
    if stop.run_until_cancelled(child.wait()).await.is_none() {
        drop(pipe);
    }
    child.wait().await
}
