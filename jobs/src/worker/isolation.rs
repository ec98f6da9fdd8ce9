//! Runs suspects, jobs whose worker died while they ran, one after another in a child process.
//!
//! It is unknown which of the jobs that ran concurrently killed the worker. The one that did kills the child process too, and
//! is identified; the others end normally. A child process was chosen over a worker that runs nothing else for a while: no
//! long sync has to end first, and a death costs one job, not another worker.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
pub struct Isolation {
    program: PathBuf,
    queues: Vec<String>,
    requested: Arc<Notify>,
}

impl Isolation {
    /// Runs suspects of `queues` in processes of `program worker --isolated`.
    #[must_use]
    pub fn new(program: PathBuf, queues: Vec<String>) -> Self {
        Self { program, queues, requested: Arc::default() }
    }

    /// Requests a process, because there are suspects.
    pub fn request(&self) {
        self.requested.notify_one();
    }

    /// Runs one process at a time, whenever one is requested, until `stop`; then stops the running one.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.requested.notified()).await.is_some() {
            let ended = match self.start() {
                Ok(child) => wait(child, &stop).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) => tracing::warn!(%status, "the process that ran suspects died; its job is identified"),
                Err(error) => {
                    tracing::error!(%error, program = %self.program.display(), "failed to start a process for suspects");
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

/// The child stops when its standard input is closed: by us, or by the death of this process.
async fn wait(mut child: Child, stop: &CancellationToken) -> std::io::Result<ExitStatus> {
    let pipe = child.stdin.take();
    if stop.run_until_cancelled(child.wait()).await.is_none() {
        drop(pipe);
    }
    child.wait().await
}
