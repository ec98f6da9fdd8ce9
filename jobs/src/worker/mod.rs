//! A worker process: hears bells, claims, runs jobs, and stops when it is told to.

pub mod claimer;
pub mod completer;
pub mod executor;
pub mod isolation;
pub mod lease_monitor;
pub mod maintenance;
pub mod poll_strategy;
pub mod wakeup_listener;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::processes;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::claimer::Claimer;
use self::executor::{Claimed, Executor, ExecutorSettings};
use self::isolation::Isolation;
use self::lease_monitor::LeaseMonitor;
use self::maintenance::{Maintenance, MaintenanceTask, repeat};
use self::wakeup_listener::listen;
use crate::handler::Registry;
use crate::job_context::JobContext;

/// What is kept of the grace for handing back and going.
const LAST_SECONDS: Duration = Duration::from_secs(5);

/// How a worker is run.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The queues it serves; all that have handlers, where none is named.
    pub queues: Vec<String>,
    /// How many jobs run at a time.
    pub concurrency: u32,
    /// How long after a worker's death its jobs are taken over.
    pub rescue: Duration,
    /// How long a stop may take.
    pub shutdown_grace: Duration,
    /// The program that runs suspects when it is told `worker --isolated`: this one.
    pub program: PathBuf,
}

impl WorkerSettings {
    /// A worker that misses two renewals in a row is dead; what remains of the time is for the others to notice.
    fn lease(&self) -> Duration {
        self.rescue * 2 / 3
    }

    fn grace_of_jobs(&self) -> Duration {
        self.shutdown_grace.saturating_sub(LAST_SECONDS)
    }

    fn queues(&self, registry: &Registry) -> Vec<String> {
        if self.queues.is_empty() { registry.queues() } else { self.queues.clone() }
    }
}

fn executor(context: &JobContext, registry: Registry, settings: &WorkerSettings, isolated: bool) -> ExecutorSettings {
    ExecutorSettings {
        queue_pool: context.queue_pool.clone(),
        redis: context.redis.clone(),
        clock: Arc::clone(&context.clock),
        queues: settings.queues(&registry),
        registry,
        worker: format!("worker-{}", Uuid::now_v7()),
        count: if isolated { 1 } else { settings.concurrency },
        lease: settings.lease(),
        isolated,
    }
}

/// Runs jobs until `stop`, then lets them end or hands them back.
pub async fn run_worker(
    context: Arc<JobContext>,
    registry: Registry,
    settings: WorkerSettings,
    stop: CancellationToken,
) {
    let executor = executor(&context, registry, &settings, false);
    let (worker, queues) = (executor.worker.clone(), executor.queues.clone());
    let executor = Arc::new(Executor::new(executor));
    let claimer = Claimer::new(Arc::clone(&executor));
    let isolation = Isolation::new(settings.program.clone(), queues.clone());
    let maintenance = Maintenance {
        queue_pool: context.queue_pool.clone(),
        redis: context.redis.clone(),
        clock: Arc::clone(&context.clock),
        executor: Arc::clone(&executor),
        isolation: isolation.clone(),
        queues: queues.clone(),
        worker: worker.clone(),
        lease: settings.lease(),
        lease_monitor: Mutex::new(LeaseMonitor::new(settings.lease())),
    };
    tracing::info!(%worker, ?queues, concurrency = settings.concurrency, "the worker is at work");
    // Sweeping, and so renewing leases, goes on until the last job has ended.
    let done = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(maintenance.run(done.clone()));
    listen(&context.redis, &queues, &claimer, &stop, &tasks);
    let isolating = tokio::spawn(isolation.run(stop.clone()));
    claimer.run(stop).await;
    tracing::info!(%worker, "the worker claims nothing more and lets its jobs end");
    let (_isolated, ()) = tokio::join!(isolating, executor.shutdown(settings.grace_of_jobs()));
    done.cancel();
    tasks.close();
    if tokio::time::timeout(LAST_SECONDS / 2, tasks.wait()).await.is_err() {
        tracing::warn!("the redis did not let go in time; what it holds is delivered again to another worker");
    }
    if let Err(error) = processes::delete(&context.queue_pool, &worker).await {
        tracing::warn!(%error, "this worker could not say goodbye");
    }
}

/// Runs suspects, one after another and with nothing beside them, until none is due or `stop`.
///
/// # Errors
/// [`DbError`] where the jobs table cannot be asked.
pub async fn run_suspects(
    context: &JobContext,
    registry: Registry,
    settings: &WorkerSettings,
    stop: &CancellationToken,
) -> Result<(), DbError> {
    let executor = Arc::new(Executor::new(executor(context, registry, settings, true)));
    let done = CancellationToken::new();
    let renewing = repeat(MaintenanceTask::Renew, settings.lease(), &done, || executor.renew_leases());
    let running = async {
        let ran = run_due_suspects(&executor, stop).await;
        executor.shutdown(settings.grace_of_jobs()).await;
        done.cancel();
        ran
    };
    tokio::join!(renewing, running).1
}

async fn run_due_suspects(executor: &Arc<Executor>, stop: &CancellationToken) -> Result<(), DbError> {
    while !stop.is_cancelled() {
        match executor.claim(|| ()).await? {
            Claimed::All(0) | Claimed::Some(0) => break,
            Claimed::All(_) | Claimed::Some(_) => stop.run_until_cancelled(executor.wait_idle()).await,
        };
    }
    Ok(())
}
