//! Runs claimed jobs, one per slot, and records their outcomes.
//!
//! A job passes three stages, each in a task of its own: it waits for a slot (short jobs are claimed ahead, see `prefetch`), runs,
//! and waits for its outcome to be recorded, while the slot already runs the next one. Its lease lasts through all of them.
//!
//! Jobs run in tasks of their own instead of apalis's: a panic stays in its task, a long page does not delay heartbeats, and
//! an apalis worker that stops because Redis is slow takes no job with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims::{ClaimedBatch, Claimer, Suspects};
use psp_dashboard::db::jobs::{claims, leases, session};
use psp_dashboard::domain::job::attempt::{ClaimedJob, Outcome};
use psp_dashboard::domain::job::{Claim, JobKind, SuspectLength, SuspectPolicy};
use psp_dashboard::observability::record;
use psp_dashboard::operations::finish_job::finish_job;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::attempt_trace::{attempt_span, note_outcome};
use super::completer::Completer;
use super::prefetch::{MAX_WAIT, Prefetch};
use crate::handler::{JobResult, RegisteredHandler, Registry, kind_name};
use crate::job_context::JobContext;
use crate::job_error::JobError;

/// How long to wait before an outcome that could not be recorded is retried.
const RECORD_PAUSE: Duration = Duration::from_secs(1);
/// How many claimed jobs there are per slot, at most: running, waiting for the slot, and waiting to be recorded. It bounds how many
/// pile up while PostgreSQL is slow, and how many become suspect when the worker dies.
const CLAIMED_PER_SLOT: u32 = 32;

pub struct Executor {
    settings: ExecutorSettings,
    completer: Completer,
    slots: Arc<Semaphore>,
    /// How many claimed jobs wait for a slot.
    waiting: AtomicUsize,
    prefetch: Prefetch,
    /// Permits for claims whose outcome is not recorded yet.
    unrecorded: Arc<Semaphore>,
    /// The claims whose outcome is not recorded yet, with the channel that stops the attempt.
    in_flight: Mutex<HashMap<Claim, mpsc::Sender<Stop>>>,
    /// Cancelled when the grace period of a shutdown is over: running jobs are handed back.
    shutdown: CancellationToken,
}

pub struct ExecutorSettings {
    pub context: Arc<JobContext>,
    pub registry: Registry,
    pub queues: Vec<String>,
    /// The name of this process, unique for all time.
    pub worker: String,
    /// How many jobs run at a time.
    pub slots: u32,
    /// How long a claim lasts without renewal.
    pub lease: Duration,
    /// Runs only these suspects, and nothing beside them; `None` runs all other jobs.
    pub suspects: Option<SuspectLength>,
}

impl ExecutorSettings {
    /// How long an attempt may run, and what happens then.
    fn time_limit(&self, kind: &JobKind) -> (Duration, Stop) {
        match (self.suspects, kind.suspects) {
            (Some(SuspectLength::Short), SuspectPolicy::Short { budget }) if budget < kind.timeout => {
                (budget, Stop::HandedBack)
            }
            _ => (kind.timeout, Stop::TimedOut(kind.timeout)),
        }
    }

    /// In isolation, the next job is claimed only after the last is recorded.
    fn max_unrecorded(&self) -> u32 {
        if self.suspects.is_some() { self.slots } else { self.slots.saturating_mul(CLAIMED_PER_SLOT) }
    }
}

/// Why an attempt is stopped before its end, or before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    ClaimLost,
    Cancelled,
    TimedOut(Duration),
    HandedBack,
}

impl Stop {
    /// `None` if the claim was lost to another worker.
    fn outcome(self, job: &ClaimedJob, handler: Option<RegisteredHandler>) -> Option<Outcome> {
        match self {
            Self::TimedOut(timeout) => {
                JobError::TimedOut(timeout).outcome(job, handler.map(|handler| handler.kind), rand::random())
            }
            Self::Cancelled => Some(Outcome::Cancelled),
            Self::HandedBack => Some(Outcome::HandedBack),
            Self::ClaimLost => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimResult {
    /// How many jobs were claimed and started.
    pub started: usize,
    /// Whether more jobs may be due.
    pub more_due: bool,
}

impl Executor {
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(settings: ExecutorSettings) -> Self {
        Self {
            completer: Completer::start(settings.context.queue_pool.clone()),
            slots: Arc::new(Semaphore::new(settings.slots as usize)),
            waiting: AtomicUsize::new(0),
            prefetch: Prefetch::new(settings.slots),
            unrecorded: Arc::new(Semaphore::new(settings.max_unrecorded() as usize)),
            settings,
            in_flight: Mutex::default(),
            shutdown: CancellationToken::new(),
        }
    }

    #[must_use]
    pub fn settings(&self) -> &ExecutorSettings {
        &self.settings
    }

    /// Claims due jobs for the free slots and, if jobs are short, ahead of them; `on_change` is called whenever more can be claimed.
    pub async fn claim(
        self: &Arc<Self>,
        on_change: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Result<ClaimResult, DbError> {
        let ExecutorSettings { context, registry, queues, worker, lease, suspects, .. } = &self.settings;
        let wanted = self.wanted();
        let taken = Arc::clone(&self.unrecorded).try_acquire_many_owned(wanted).ok().filter(|_| wanted > 0);
        let Some(mut unrecorded) = taken else { return Ok(ClaimResult { started: 0, more_due: true }) };
        let long_keys = registry.long_keys();
        let suspects = suspects.map(|length| Suspects { length, long_keys: &long_keys });
        let claimer = Claimer { queues, worker, lease: *lease, suspects };
        let ClaimedBatch { jobs, more } = claims::claim(&context.queue_pool, &claimer, wanted).await?;
        let started = jobs.len();
        self.waiting.fetch_add(started, Ordering::Relaxed);
        for job in jobs {
            if let Some(unrecorded) = unrecorded.split(1) {
                tokio::spawn(Arc::clone(self).run(job, unrecorded, on_change.clone()));
            }
        }
        Ok(ClaimResult { started, more_due: more })
    }

    /// How many jobs to claim now. Ahead of free slots it claims in large batches: none until half of those before have started.
    fn wanted(&self) -> u32 {
        let unrecorded = self.unrecorded.available_permits();
        let ahead = if self.settings.suspects.is_some() { 0 } else { self.prefetch.limit() as usize };
        let ahead = ahead.min(self.settings.max_unrecorded() as usize / 2);
        let (free, waiting) = (self.slots.available_permits(), self.waiting.load(Ordering::Relaxed));
        if waiting > ahead / 2 && waiting >= free {
            return 0;
        }
        u32::try_from((free + ahead).saturating_sub(waiting).min(unrecorded)).unwrap_or(u32::MAX)
    }

    async fn run(self: Arc<Self>, job: ClaimedJob, unrecorded: OwnedSemaphorePermit, on_change: impl Fn() + Sync) {
        let (stop_sender, mut stop) = mpsc::channel(1);
        self.in_flight().insert(job.claim, stop_sender);
        let handler = self.settings.registry.find(&job.kind);
        let span = attempt_span(&job, handler);
        async {
            let slot = self.wait_for_slot(&mut stop).await;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let outcome = match slot {
                Ok(slot) => {
                    let running = record::job_started(kind_name(handler), self.waited(&job));
                    let outcome = self.outcome(&job, handler, stop).await;
                    drop((slot, running));
                    outcome
                }
                Err(stop) => stop.outcome(&job, handler),
            };
            on_change();
            if let Some(outcome) = outcome {
                let state = outcome.next_state();
                if self.record(&job, handler, outcome).await {
                    record::job_recorded(kind_name(handler), state);
                }
            }
        }
        .instrument(span)
        .await;
        self.in_flight().remove(&job.claim);
        drop(unrecorded);
        on_change();
    }

    /// Waits for a free slot, but not for long.
    async fn wait_for_slot(&self, stop: &mut mpsc::Receiver<Stop>) -> Result<OwnedSemaphorePermit, Stop> {
        tokio::select! {
            biased;
            Some(stop) = stop.recv() => Err(stop),
            Ok(slot) = Arc::clone(&self.slots).acquire_owned() => Ok(slot),
            () = sleep(MAX_WAIT) => {
                self.prefetch.observe(MAX_WAIT);
                Err(Stop::HandedBack)
            }
            () = self.shutdown.cancelled() => Err(Stop::HandedBack),
        }
    }

    /// Runs the attempt. `None` if the claim was lost to another worker.
    async fn outcome(
        &self,
        job: &ClaimedJob,
        handler: Option<RegisteredHandler>,
        stop: mpsc::Receiver<Stop>,
    ) -> Option<Outcome> {
        let started = Instant::now();
        let ended = match handler {
            Some(handler) => self.attempt(job, handler, stop).await,
            None => Ok(Err(JobError::UnknownKind(job.kind.clone()))),
        };
        self.prefetch.observe(started.elapsed());
        let outcome = match ended {
            Ok(Ok(result)) => Some(Outcome::Succeeded(result)),
            Ok(Err(error)) => error.outcome(job, handler.map(|handler| handler.kind), rand::random()),
            Err(stop) => stop.outcome(job, handler),
        };
        let (name, duration) = (note_outcome(outcome.as_ref()), started.elapsed());
        record::job_attempt(kind_name(handler), name, duration);
        tracing::info!(
            outcome = name,
            error = outcome.as_ref().and_then(Outcome::error),
            duration_ms = duration.as_millis(),
            "attempt ended"
        );
        outcome
    }

    async fn attempt(
        &self,
        job: &ClaimedJob,
        handler: RegisteredHandler,
        mut stop: mpsc::Receiver<Stop>,
    ) -> Result<JobResult, Stop> {
        let (context, owned) = (Arc::clone(&self.settings.context), job.clone());
        let work = session::run_as_job(job.claim.job_id, async move { handler.run(&context, &owned).await });
        let mut task = tokio::spawn(work.in_current_span());
        let (limit, out_of_time) = self.settings.time_limit(handler.kind);
        let stop = tokio::select! {
            ended = &mut task => return Ok(ended.unwrap_or_else(|error| Err(panicked(error)))),
            Some(stop) = stop.recv() => stop,
            () = sleep(limit) => out_of_time,
            () = self.shutdown.cancelled() => Stop::HandedBack,
        };
        self.abort(&job.claim, task).await.ok_or(stop)
    }

    /// Stops a task at its next await, and its statements in PostgreSQL. Returns its result if it had already ended.
    async fn abort(&self, claim: &Claim, task: JoinHandle<JobResult>) -> Option<JobResult> {
        task.abort();
        let joined = task.await;
        match session::cancel_statements(&self.settings.context.queue_pool, claim.job_id).await {
            Ok(0) => {}
            Ok(statements) => tracing::info!(statements, "cancelled statements of the job"),
            Err(error) => tracing::warn!(%error, "failed to cancel statements of the job"),
        }
        match joined {
            Ok(ended) => Some(ended),
            Err(error) if error.is_cancelled() => None,
            Err(error) => Some(Err(panicked(error))),
        }
    }

    /// Since the job was due, by the clocks of two machines.
    fn waited(&self, job: &ClaimedJob) -> Duration {
        (self.settings.context.clock.now() - job.due_at).to_std().unwrap_or_default()
    }

    /// Records the outcome, however long the database is unavailable: until then the lease keeps other workers away. Returns
    /// whether it is recorded.
    async fn record(&self, job: &ClaimedJob, handler: Option<RegisteredHandler>, outcome: Outcome) -> bool {
        match outcome {
            // The success of another kind than a sync updates no run and publishes no event.
            Outcome::Succeeded(result) if JobKind::source_of(&job.kind).is_none() => {
                self.record_in_batch(job.claim, result).await
            }
            outcome => {
                let queue = handler.map_or("", |handler| handler.kind.queue);
                self.record_single(job, queue, &outcome).await
            }
        }
    }

    async fn record_in_batch(&self, claim: Claim, result: Value) -> bool {
        let out_of_time = async {
            self.shutdown.cancelled().await;
            sleep(RECORD_PAUSE).await;
        };
        tokio::select! {
            recorded = self.completer.succeed(claim, result) => {
                if !recorded {
                    warn_of_lost_claim();
                }
                recorded
            }
            () = out_of_time => {
                tracing::error!("failed to record the success; the job runs again after its lease");
                false
            }
        }
    }

    async fn record_single(&self, job: &ClaimedJob, queue: &str, outcome: &Outcome) -> bool {
        let JobContext { queue_pool, redis, clock, .. } = &*self.settings.context;
        loop {
            match finish_job(queue_pool, redis, job, queue, outcome, clock.now()).await {
                Ok(()) => return true,
                Err(DbError::ClaimLost) => {
                    warn_of_lost_claim();
                    return false;
                }
                Err(error) if error.is_transient() && !self.shutdown.is_cancelled() => {
                    tracing::warn!(%error, "failed to record the outcome, retrying");
                    sleep(RECORD_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(%error, "failed to record the outcome; the job runs again after its lease");
                    return false;
                }
            }
        }
    }

    /// Renews the leases of all jobs in flight, and stops those whose claim is lost or that are to be cancelled.
    pub async fn renew_leases(&self) -> Result<(), DbError> {
        let claims: Vec<Claim> = self.in_flight().keys().copied().collect();
        if claims.is_empty() {
            return Ok(());
        }
        let ExecutorSettings { context, lease, .. } = &self.settings;
        let renewed = leases::renew(&context.queue_pool, &claims, *lease).await?;
        let renewed: HashMap<Claim, bool> =
            renewed.into_iter().map(|renewed| (renewed.claim, renewed.cancel_requested)).collect();
        for claim in claims {
            let stop = match renewed.get(&claim) {
                None => Stop::ClaimLost,
                Some(cancel_requested) if *cancel_requested => Stop::Cancelled,
                Some(_) => continue,
            };
            // Sending fails if the attempt was already stopped or has ended.
            if self.in_flight().get(&claim).is_some_and(|sender| sender.try_send(stop).is_ok()) {
                tracing::info!(job_id = %claim.job_id, ?stop, "stopping a job");
            }
        }
        Ok(())
    }

    /// Waits until no job is running and every outcome is recorded.
    pub async fn wait_idle(&self) {
        let _all = self.unrecorded.acquire_many(self.settings.max_unrecorded()).await;
    }

    /// Waits up to `grace` for running jobs, and hands the others back. Nothing may be claimed after this call.
    pub async fn shutdown(&self, grace: Duration) {
        if tokio::time::timeout(grace, self.wait_idle()).await.is_err() {
            self.shutdown.cancel();
            // Stopped jobs still have to be recorded as handed back.
            self.wait_idle().await;
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, HashMap<Claim, mpsc::Sender<Stop>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn_of_lost_claim() {
    tracing::warn!("claim lost to another worker; the outcome is discarded");
}

/// The error of a task that was not aborted: it panicked.
fn panicked(error: JoinError) -> JobError {
    let panic = error.try_into_panic().ok();
    let text = panic.as_ref().and_then(|panic| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let text = text.or_else(|| panic.as_ref().and_then(|panic| panic.downcast_ref::<String>().cloned()));
    JobError::Panicked(text.unwrap_or_else(|| "no message".to_owned()))
}
