//! The hands of a worker: each runs one job at a time, and records what came of it.
//!
//! Jobs run in tasks of their own and not inside apalis's: a panic stays in its task, a long page does not hold up the
//! heartbeats, and an apalis worker that dies of a slow Redis takes no job with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use psp_dashboard::clock::SharedClock;
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims::{ClaimedBatch, Claimer};
use psp_dashboard::db::jobs::{claims, leases, session};
use psp_dashboard::domain::job::attempt::{ClaimedJob, Outcome};
use psp_dashboard::domain::job::{Claim, JobKind};
use psp_dashboard::operations::finish_job::finish_job;
use psp_dashboard::redis::Redis;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::completer::Completer;
use crate::handler::{Handler, JobError, Registry};

/// How long to wait before an outcome that could not be recorded is tried again.
const RECORD_PAUSE: Duration = Duration::from_secs(1);
/// How many claims of a hand may wait to be recorded: with PostgreSQL slow, no more pile up.
const UNRECORDED_A_HAND: u32 = 4;

/// The hands of one worker process.
pub struct Executor {
    settings: ExecutorSettings,
    completer: Completer,
    free: Arc<Semaphore>,
    /// For claims whose outcome is not recorded yet: a hand takes its next job while what came of the last is written down.
    unrecorded: Arc<Semaphore>,
    /// Every claim whose outcome is not recorded yet, and whom to tell that its attempt is to stop.
    in_flight: Mutex<HashMap<Claim, mpsc::Sender<Stop>>>,
    /// What still runs is handed back.
    closed: CancellationToken,
}

/// What the hands of a worker need.
pub struct ExecutorSettings {
    /// The jobs table.
    pub queue_pool: PgPool,
    /// Redis.
    pub redis: Redis,
    /// The time.
    pub clock: SharedClock,
    /// The handlers.
    pub registry: Registry,
    /// The queues they serve.
    pub queues: Vec<String>,
    /// The name of this process, never used before.
    pub worker: String,
    /// How many jobs run at a time.
    pub count: u32,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// Only suspects are run, with nothing beside them.
    pub isolated: bool,
}

impl ExecutorSettings {
    /// How many claims there may be whose outcome is not recorded. Alone, one: the next is not beside the last.
    fn most_unrecorded(&self) -> u32 {
        if self.isolated { self.count } else { self.count.saturating_mul(UNRECORDED_A_HAND) }
    }
}

/// Why an attempt is stopped before it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Another worker has the job by now.
    ClaimLost,
    /// Somebody told the job to stop.
    Cancelled,
    /// It took too long.
    TimedOut(Duration),
    /// The worker has to stop.
    HandedBack,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// This many jobs are at work now, and nothing more is due.
    All(usize),
    /// This many jobs are at work now, and more may be due.
    Some(usize),
}

impl Executor {
    /// Executor that have nothing to do yet. Within a runtime.
    #[must_use]
    pub fn new(settings: ExecutorSettings) -> Self {
        Self {
            completer: Completer::start(settings.queue_pool.clone()),
            free: Arc::new(Semaphore::new(settings.count as usize)),
            unrecorded: Arc::new(Semaphore::new(settings.most_unrecorded() as usize)),
            settings,
            in_flight: Mutex::default(),
            closed: CancellationToken::new(),
        }
    }

    /// Claims due jobs for the hands that are free, and sets them to work; `done` is called as each comes free again.
    ///
    /// # Errors
    /// [`DbError`] where the jobs table cannot be asked.
    pub async fn claim(self: &Arc<Self>, done: impl Fn() + Clone + Send + Sync + 'static) -> Result<Claimed, DbError> {
        let ExecutorSettings { queue_pool, queues, worker, lease, isolated, .. } = &self.settings;
        let free = self.free.available_permits().min(self.unrecorded.available_permits());
        let free = u32::try_from(free).unwrap_or(u32::MAX);
        let take = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_many_owned(free).ok();
        let taken = take(&self.free).zip(take(&self.unrecorded)).filter(|_| free > 0);
        let Some((mut executor, mut claims)) = taken else { return Ok(Claimed::Some(0)) };
        let claimer = Claimer { queues, worker, lease: *lease, isolated: *isolated };
        let ClaimedBatch { jobs, more } = claims::claim(queue_pool, &claimer, free).await?;
        let count = jobs.len();
        for job in jobs {
            if let Some((slot, claim)) = executor.split(1).zip(claims.split(1)) {
                tokio::spawn(Arc::clone(self).run(job, slot, claim, done.clone()));
            }
        }
        Ok(if more { Claimed::Some(count) } else { Claimed::All(count) })
    }

    async fn run(
        self: Arc<Self>,
        job: ClaimedJob,
        slot: OwnedSemaphorePermit,
        claim: OwnedSemaphorePermit,
        done: impl Fn() + Sync,
    ) {
        let (tell, told) = mpsc::channel(1);
        self.in_flight().insert(job.claim, tell);
        let span = tracing::info_span!(
            "job", kind = %job.kind, job_id = %job.claim.job_id, attempt = job.attempt, epoch = job.claim.epoch
        );
        async {
            let outcome = self.outcome(&job, told).await;
            drop(slot);
            done();
            if let Some(outcome) = outcome {
                self.record(&job, outcome).await;
            }
        }
        .instrument(span)
        .await;
        self.in_flight().remove(&job.claim);
        drop(claim);
        done();
    }

    /// Tries the job, and says what became of it; none where another worker has it by now.
    async fn outcome(&self, job: &ClaimedJob, told: mpsc::Receiver<Stop>) -> Option<Outcome> {
        let started = Instant::now();
        let found = self.settings.registry.find(&job.kind);
        let ended = match found.clone() {
            Some((kind, handler)) => self.attempt(job, kind.timeout, handler, told).await,
            None => Ok(Err(JobError::UnknownKind(job.kind.clone()))),
        };
        let kind = found.map(|(kind, _)| kind);
        let outcome = match ended {
            Ok(Ok(result)) => Some(Outcome::Succeeded(result)),
            Ok(Err(error)) => error.outcome(job, kind, rand::random()),
            Err(Stop::TimedOut(timeout)) => JobError::TimedOut(timeout).outcome(job, kind, rand::random()),
            Err(Stop::Cancelled) => Some(Outcome::Cancelled),
            Err(Stop::HandedBack) => Some(Outcome::HandedBack),
            Err(Stop::ClaimLost) => None,
        };
        tracing::info!(
            outcome = outcome.as_ref().map_or("claim_lost", Outcome::name),
            error = outcome.as_ref().and_then(Outcome::error),
            duration_ms = started.elapsed().as_millis(),
            "the attempt has ended"
        );
        outcome
    }

    async fn attempt(
        &self,
        job: &ClaimedJob,
        timeout: Duration,
        handler: Arc<dyn Handler>,
        mut told: mpsc::Receiver<Stop>,
    ) -> Result<Result<Value, JobError>, Stop> {
        let owned = job.clone();
        let work = session::run_as_job(job.claim.job_id, async move { handler.run(&owned).await });
        let mut task = tokio::spawn(work.in_current_span());
        let stop = tokio::select! {
            ended = &mut task => return Ok(ended.unwrap_or_else(|error| Err(from_join_error(error)))),
            Some(stop) = told.recv() => stop,
            () = sleep(timeout) => Stop::TimedOut(timeout),
            () = self.closed.cancelled() => Stop::HandedBack,
        };
        // It may have ended a moment before it was told to stop.
        self.stop(&job.claim, task).await.ok_or(stop)
    }

    /// Stops a task at its next await, and its statements in the server. What it says if it ended before.
    async fn stop(&self, claim: &Claim, task: JoinHandle<Result<Value, JobError>>) -> Option<Result<Value, JobError>> {
        task.abort();
        let joined = task.await;
        match session::cancel_statements(&self.settings.queue_pool, claim.job_id).await {
            Ok(0) => {}
            Ok(statements) => tracing::info!(statements, "its statements were cancelled in the server"),
            Err(error) => tracing::warn!(%error, "its statements could not be cancelled in the server"),
        }
        match joined {
            Ok(ended) => Some(ended),
            Err(error) if error.is_cancelled() => None,
            Err(error) => Some(Err(from_join_error(error))),
        }
    }

    /// Records the outcome, however long the database is away: until then the lease keeps others from the job.
    async fn record(&self, job: &ClaimedJob, outcome: Outcome) {
        match outcome {
            // Nothing is left behind and nobody is told.
            Outcome::Succeeded(result) if JobKind::source_of(&job.kind).is_none() => {
                self.record_success(job.claim, result).await;
            }
            outcome => self.record_alone(job, &outcome).await,
        }
    }

    async fn record_success(&self, claim: Claim, result: Value) {
        let out_of_time = async {
            self.closed.cancelled().await;
            sleep(RECORD_PAUSE).await;
        };
        tokio::select! {
            recorded = self.completer.succeed(claim, result) => if !recorded { warn_of_another_worker() },
            () = out_of_time => tracing::error!("the success could not be recorded; the job runs again after its lease"),
        }
    }

    async fn record_alone(&self, job: &ClaimedJob, outcome: &Outcome) {
        let ExecutorSettings { queue_pool, redis, clock, registry, .. } = &self.settings;
        let queue = registry.find(&job.kind).map_or("", |(kind, _)| kind.queue);
        loop {
            match finish_job(queue_pool, redis, job, queue, outcome, clock.now()).await {
                Ok(()) => return,
                Err(DbError::ClaimLost) => {
                    warn_of_another_worker();
                    return;
                }
                Err(error) if error.is_transient() && !self.closed.is_cancelled() => {
                    tracing::warn!(%error, "the outcome could not be recorded; it is tried again");
                    sleep(RECORD_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the outcome could not be recorded; the job runs again after its lease");
                    return;
                }
            }
        }
    }

    /// Renews the leases of the jobs at work, and stops those that have passed to another worker or were told to stop.
    ///
    /// # Errors
    /// [`DbError`] where the database cannot be asked.
    pub async fn renew_leases(&self) -> Result<(), DbError> {
        let before: Vec<Claim> = self.in_flight().keys().copied().collect();
        if before.is_empty() {
            return Ok(());
        }
        let renewed = leases::renew(&self.settings.queue_pool, &before, self.settings.lease).await?;
        for claim in before {
            let stop = match renewed.iter().find(|renewed| renewed.claim == claim) {
                None => Stop::ClaimLost,
                Some(renewed) if renewed.cancel_requested => Stop::Cancelled,
                Some(_) => continue,
            };
            // Whoever has been told already, or has ended by now, need not be told again.
            if self.in_flight().get(&claim).is_some_and(|tell| tell.try_send(stop).is_ok()) {
                tracing::info!(job_id = %claim.job_id, ?stop, "the job is told to stop");
            }
        }
        Ok(())
    }

    /// Waits until no job is at work, and what became of the last is recorded.
    pub async fn wait_idle(&self) {
        let _all_recorded = self.unrecorded.acquire_many(self.settings.most_unrecorded()).await;
    }

    /// Gives what runs `grace` to end, and hands back what does not. To be called when nothing is claimed any more.
    pub async fn shutdown(&self, grace: Duration) {
        if tokio::time::timeout(grace, self.wait_idle()).await.is_err() {
            self.closed.cancel();
            // What was stopped still records that it was handed back.
            self.wait_idle().await;
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, HashMap<Claim, mpsc::Sender<Stop>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn_of_another_worker() {
    tracing::warn!("the job has passed to another worker: what came of it here does not count");
}

/// A task that only its own `attempt` may stop has ended by itself: it panicked.
fn from_join_error(error: JoinError) -> JobError {
    let panic = error.try_into_panic().ok();
    let text = panic.as_ref().and_then(|panic| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let text = text.or_else(|| panic.as_ref().and_then(|panic| panic.downcast_ref::<String>().cloned()));
    JobError::Panicked(text.unwrap_or_else(|| "no message".to_owned()))
}
