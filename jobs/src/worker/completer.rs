//! Records successes in batches: all jobs that succeed while one statement runs are recorded by the next.
//!
//! With a statement and a commit per job, a worker of short jobs would spend most of its time, and of PostgreSQL's, on
//! these. It does not wait for a batch to fill: a single job is recorded at once.

use std::collections::HashSet;
use std::time::Duration;

use psp_dashboard::db::jobs::claims::{Success, succeed_all};
use psp_dashboard::domain::job::Claim;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

const MAX_BATCH: usize = 256;
/// How long to wait before a batch that could not be recorded is retried.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Completer(mpsc::Sender<Completion>);

#[derive(Debug)]
struct Completion {
    success: Success,
    /// Receives whether the claim still held.
    recorded: oneshot::Sender<bool>,
}

impl Completer {
    /// Spawns the task that records, which ends with the last clone of this handle.
    #[must_use]
    pub fn start(queue_pool: PgPool) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_BATCH);
        tokio::spawn(record_batches(queue_pool, receiver));
        Self(sender)
    }

    /// Records that the attempt succeeded, however long the database is unavailable. Returns false if the claim was lost
    /// to another worker: the result is then discarded.
    pub async fn succeed(&self, claim: Claim, result: Value) -> bool {
        let (recorded, answer) = oneshot::channel();
        let sent = self.0.send(Completion { success: Success { claim, result }, recorded }).await;
        // The task lives as long as this handle, so neither fails.
        sent.is_ok() && answer.await.unwrap_or(false)
    }
}

async fn record_batches(queue_pool: PgPool, mut receiver: mpsc::Receiver<Completion>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        // Jobs that were claimed together often end together: let those that are about to end join the batch.
        tokio::task::yield_now().await;
        if receiver.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        let (successes, waiting): (Vec<Success>, Vec<oneshot::Sender<bool>>) =
            batch.drain(..).map(|completion: Completion| (completion.success, completion.recorded)).unzip();
        let recorded = loop {
            match succeed_all(&queue_pool, &successes).await {
                Ok(recorded) => break HashSet::<Claim>::from_iter(recorded),
                Err(error) => tracing::warn!(%error, jobs = successes.len(), "failed to record successes, retrying"),
            }
            sleep(RETRY_PAUSE).await;
        };
        for (success, waiting) in successes.iter().zip(waiting) {
            // The receiver is gone if the worker shut down meanwhile.
            let _ = waiting.send(recorded.contains(&success.claim));
        }
    }
}
