//! Records what went well, many jobs at a time: whatever has ended while one statement was on its way goes with the next.
//!
//! A worker of short jobs would spend most of its time, and of PostgreSQL's, on a statement and a commit for each. Nothing
//! waits for a batch to fill: alone, a job is recorded at once.

use std::time::Duration;

use psp_dashboard::db::jobs::claims::{Success, succeed_all};
use psp_dashboard::domain::job::Claim;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

/// The most jobs of one statement.
const LARGEST_BATCH: usize = 256;
/// How long to wait before a batch that could not be recorded is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A way to have successes recorded.
#[derive(Debug, Clone)]
pub struct Completer(mpsc::Sender<Ended>);

#[derive(Debug)]
struct Ended {
    success: Success,
    recorded: oneshot::Sender<bool>,
}

impl Completer {
    /// Records in `queue_pool`, for as long as there is anybody who may ask for it.
    #[must_use]
    pub fn start(queue_pool: PgPool) -> Self {
        let (sender, receiver) = mpsc::channel(LARGEST_BATCH);
        tokio::spawn(record_all(queue_pool, receiver));
        Self(sender)
    }

    /// Records that the attempt has succeeded, however long the database is away; false where the job has passed to another
    /// worker: what came of it here does not count.
    pub async fn succeed(&self, claim: Claim, result: Value) -> bool {
        let (recorded, answer) = oneshot::channel();
        let sent = self.0.send(Ended { success: Success { claim, result }, recorded }).await;
        // The recorder lives for as long as we can ask it.
        sent.is_ok() && answer.await.unwrap_or(false)
    }
}

async fn record_all(queue_pool: PgPool, mut receiver: mpsc::Receiver<Ended>) {
    let mut batch = Vec::with_capacity(LARGEST_BATCH);
    loop {
        // Jobs that were claimed together often end together: those that are about to are let in.
        tokio::task::yield_now().await;
        if receiver.recv_many(&mut batch, LARGEST_BATCH).await == 0 {
            return;
        }
        let (successes, waiting): (Vec<Success>, Vec<oneshot::Sender<bool>>) =
            batch.drain(..).map(|ended: Ended| (ended.success, ended.recorded)).unzip();
        let recorded = loop {
            match succeed_all(&queue_pool, &successes).await {
                Ok(recorded) => break recorded,
                Err(error) => tracing::warn!(%error, jobs = successes.len(), "not recorded yet; it is tried again"),
            }
            sleep(PAUSE).await;
        };
        for (success, waiting) in successes.iter().zip(waiting) {
            // Whoever asked may have been told to go meanwhile.
            let _told = waiting.send(recorded.contains(&success.claim));
        }
    }
}
