//! The hands of a worker: each claims a job, runs it, and records what came of it.
//!
//! Jobs run in tasks of their own and not inside apalis's: a panic stays in its task, a long page does not hold up the
//! heartbeats, and an apalis worker that dies of a slow Redis takes no job with it. A hand that has finished claims again
//! until nothing is due, so a bell that was lost while all hands were busy costs nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use psp_dashboard::clock::SharedClock;
use psp_dashboard::db::jobs::{ClaimedJob, Outcome};
use psp_dashboard::db::{DbError, jobs, leases};
use psp_dashboard::domain::job::{JobId, JobKind};
use psp_dashboard::operations::finish_job::finish_job;
use psp_dashboard::wire::Wire;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinError};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::handler::{JobError, Registry};

/// How long to wait before an outcome that could not be recorded is tried again.
const RECORD_PAUSE: Duration = Duration::from_secs(1);

/// The hands of one worker process.
pub struct Hands {
    pool: PgPool,
    wire: Wire,
    clock: SharedClock,
    registry: Registry,
    queues: Vec<String>,
    worker: String,
    lease: Duration,
    free: Semaphore,
    count: u32,
    held: Mutex<HashMap<JobId, AbortHandle>>,
    /// No new job is claimed.
    closing: CancellationToken,
    /// What still runs is handed back.
    closed: CancellationToken,
}

/// What the hands of a worker need.
pub struct HandsSettings {
    /// The handlers.
    pub registry: Registry,
    /// The queues they serve.
    pub queues: Vec<String>,
    /// The name of this process, never used before.
    pub worker: String,
    /// How many jobs run at a time.
    pub hands: u32,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
}

impl Hands {
    /// Hands that have nothing to do yet.
    #[must_use]
    pub fn new(pool: PgPool, wire: Wire, clock: SharedClock, settings: HandsSettings) -> Self {
        let HandsSettings { registry, queues, worker, hands, lease } = settings;
        Self {
            pool,
            wire,
            clock,
            registry,
            queues,
            worker,
            lease,
            free: Semaphore::new(hands as usize),
            count: hands,
            held: Mutex::default(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }

    /// Answers a bell: runs due jobs, one after another, until none is left or the worker is to stop.
    pub async fn answer_bell(&self) {
        let Ok(_hand) = self.free.acquire().await else { return };
        while !self.closing.is_cancelled() {
            match jobs::claim(&self.pool, &self.queues, &self.worker, self.lease).await {
                Ok(Some(job)) => self.run(job).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "no job could be claimed; the next bell tries again");
                    return;
                }
            }
        }
    }

    async fn run(&self, job: ClaimedJob) {
        let span = tracing::info_span!(
            "job", kind = %job.kind, job_id = %job.claim.job_id, attempt = job.attempt, epoch = job.claim.epoch
        );
        async {
            let started = tokio::time::Instant::now();
            let found = self.registry.find(&job.kind);
            let kind = found.as_ref().map(|(kind, _)| *kind);
            let attempt = self.attempt(&job).await;
            let outcome = match attempt {
                Attempt::Ended(Ok(result)) => Some(Outcome::Succeeded(result)),
                Attempt::Ended(Err(error)) => error.outcome(&job, kind, rand::random()),
                Attempt::HandedBack => Some(Outcome::HandedBack),
                Attempt::ClaimLost => None,
            };
            let duration_ms = started.elapsed().as_millis();
            let name = outcome.as_ref().map_or("claim_lost", Outcome::name);
            tracing::info!(
                outcome = name,
                error = outcome.as_ref().and_then(Outcome::error),
                duration_ms,
                "the attempt has ended"
            );
            if let Some(outcome) = outcome {
                self.record(&job, &outcome).await;
            }
        }
        .instrument(span)
        .await;
    }

    async fn attempt(&self, job: &ClaimedJob) -> Attempt {
        let Some((kind, handler)) = self.registry.find(&job.kind) else {
            return Attempt::Ended(Err(JobError::UnknownKind(job.kind.clone())));
        };
        let job_id = job.claim.job_id;
        let job = job.clone();
        let mut task = tokio::spawn(async move { handler.run(&job).await }.in_current_span());
        self.held().insert(job_id, task.abort_handle());
        let ended = tokio::select! {
            ended = &mut task => ended.map_or_else(from_join_error, Attempt::Ended),
            () = tokio::time::sleep(kind.timeout) => {
                task.abort();
                ended_after(task.await, || timed_out(kind))
            }
            () = self.closed.cancelled() => {
                task.abort();
                ended_after(task.await, || Attempt::HandedBack)
            }
        };
        self.held().remove(&job_id);
        ended
    }

    /// Records the outcome, however long the database is away: until then the lease keeps others from the job.
    async fn record(&self, job: &ClaimedJob, outcome: &Outcome) {
        loop {
            let now = self.clock.now();
            match finish_job(&self.pool, &self.wire, &job.claim, &job.kind, outcome, now).await {
                Ok(()) => return,
                Err(error) if error.is_transient() && !self.closed.is_cancelled() => {
                    tracing::warn!(%error, "the outcome could not be recorded; it is tried again");
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the outcome could not be recorded; the job runs again after its lease");
                    return;
                }
            }
        }
    }

    /// Renews the leases of the jobs at work, and stops those that have passed to another worker.
    ///
    /// # Errors
    /// [`DbError`] where the database cannot be asked.
    pub async fn renew_leases(&self) -> Result<(), DbError> {
        let before: Vec<JobId> = self.held().keys().copied().collect();
        if before.is_empty() {
            return Ok(());
        }
        let still = leases::renew(&self.pool, &self.worker, self.lease).await?;
        for job_id in before.into_iter().filter(|job_id| !still.contains(job_id)) {
            if let Some(task) = self.held().get(&job_id) {
                tracing::warn!(%job_id, "the job has passed to another worker; it is stopped here");
                task.abort();
            }
        }
        Ok(())
    }

    /// Claims nothing more, gives what runs `grace` to end, and hands back what does not.
    pub async fn close(&self, grace: Duration) {
        self.closing.cancel();
        if tokio::time::timeout(grace, self.free.acquire_many(self.count)).await.is_err() {
            self.closed.cancel();
            // What was stopped still records that it was handed back.
            let _all_hands = self.free.acquire_many(self.count).await;
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, AbortHandle>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Attempt {
    Ended(Result<Value, JobError>),
    HandedBack,
    ClaimLost,
}

fn timed_out(kind: &JobKind) -> Attempt {
    Attempt::Ended(Err(JobError::TimedOut(kind.timeout)))
}

/// A task that was told to stop may have ended a moment before.
fn ended_after(joined: Result<Result<Value, JobError>, JoinError>, otherwise: impl FnOnce() -> Attempt) -> Attempt {
    match joined {
        Ok(ended) => Attempt::Ended(ended),
        Err(error) if error.is_cancelled() => otherwise(),
        Err(error) => from_join_error(error),
    }
}

/// A task that was stopped by nobody else was stopped because its claim is lost.
fn from_join_error(error: JoinError) -> Attempt {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Attempt::Ended(Err(JobError::Panicked(text.unwrap_or_else(|| "no message".to_owned()))))
        }
        Err(_) => Attempt::ClaimLost,
    }
}

/// A hand that is shared by the bells of all queues.
pub type SharedHands = Arc<Hands>;
