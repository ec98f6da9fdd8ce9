//! A worker process: receives wake-ups, claims jobs, runs them, and stops on a signal.

mod attempt_trace;
pub mod claimer;
pub mod completer;
pub mod executor;
pub mod isolation;
pub mod lease_monitor;
pub mod maintenance;
pub mod poll_strategy;
pub mod prefetch;
pub mod wakeup_listener;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::processes;
use psp_dashboard::domain::job::SuspectLength;
use psp_dashboard::observability::record;
use psp_dashboard::providers::endpoint::Endpoint;
use psp_dashboard::providers::error::OUTCOMES;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::claimer::Claimer;
use self::executor::{Executor, ExecutorSettings};
use self::isolation::Isolation;
use self::maintenance::{Maintenance, MaintenanceTask, repeat};
use self::wakeup_listener::listen;
use crate::handler::Registry;
use crate::job_context::JobContext;

/// The part of the shutdown grace that is reserved for handing jobs back and deregistering.
const CLEANUP_TIME: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The queues to serve; if empty, those of all kinds.
    pub queues: Vec<String>,
    pub concurrency: u32,
    /// How long after a worker's death its jobs are taken over.
    pub rescue: Duration,
    pub shutdown_grace: Duration,
    /// The program that runs suspects, with `worker --isolated`: this one.
    pub program: PathBuf,
}

impl WorkerSettings {
    /// A worker that misses two renewals in a row counts as dead; the last third of the time is for others to notice.
    fn lease(&self) -> Duration {
        self.rescue * 2 / 3
    }

    fn job_grace(&self) -> Duration {
        self.shutdown_grace.saturating_sub(CLEANUP_TIME)
    }

    fn executor(
        &self,
        context: Arc<JobContext>,
        registry: Registry,
        worker: String,
        suspects: Option<SuspectLength>,
    ) -> Executor {
        Executor::new(ExecutorSettings {
            context,
            registry,
            queues: if self.queues.is_empty() { registry.queues() } else { self.queues.clone() },
            worker,
            slots: if suspects.is_some() { 1 } else { self.concurrency },
            lease: self.lease(),
            suspects,
        })
    }
}

/// Runs jobs until `stop`, then waits for running jobs to end, or hands them back after the grace period.
pub async fn run_worker(
    context: Arc<JobContext>,
    registry: Registry,
    settings: WorkerSettings,
    stop: CancellationToken,
) {
    let worker = format!("worker-{}", Uuid::now_v7());
    let executor = Arc::new(settings.executor(Arc::clone(&context), registry, worker, None));
    let ExecutorSettings { worker, queues, .. } = executor.settings();
    prepare_metrics(settings.concurrency);
    let claimer = Claimer::new(Arc::clone(&executor));
    let isolation = Isolation::new(settings.program.clone(), worker.clone(), queues.clone());
    let maintenance = Maintenance::new(Arc::clone(&executor), isolation.clone());
    tracing::info!(%worker, ?queues, concurrency = settings.concurrency, "worker started");
    // Leases are renewed until the last job has ended.
    let stop_maintenance = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(maintenance.run(stop_maintenance.clone()));
    listen(&context.redis, queues, &claimer, &stop, &tasks);
    let isolating = tokio::spawn(isolation.run(stop.clone()));
    claimer.run(stop).await;
    tracing::info!(%worker, "worker stopping, waiting for running jobs");
    let (_isolated, ()) = tokio::join!(isolating, executor.shutdown(settings.job_grace()));
    stop_maintenance.cancel();
    tasks.close();
    if tokio::time::timeout(CLEANUP_TIME / 2, tasks.wait()).await.is_err() {
        tracing::warn!("queue listeners did not stop in time; their wake-ups are redelivered to another worker");
    }
    if let Err(error) = processes::delete(&context.queue_pool, worker).await {
        tracing::warn!(%error, "failed to deregister worker");
    }
}

/// The metrics of a child process, which runs suspects, have no port: they are not prepared.
fn prepare_metrics(slots: u32) {
    let endpoints = Endpoint::ALL.map(|endpoint| (endpoint.provider().as_str(), endpoint.as_str()));
    record::prepare_worker(slots, &endpoints, &OUTCOMES);
}

/// Which suspects a process runs, and the worker that has started it.
#[derive(Debug, Clone)]
pub struct IsolatedProcess {
    pub length: SuspectLength,
    pub parent: String,
}

/// Runs suspects, one after another, until none is due or `stop`.
pub async fn run_suspects(
    context: Arc<JobContext>,
    registry: Registry,
    settings: &WorkerSettings,
    IsolatedProcess { length, parent }: IsolatedProcess,
    stop: &CancellationToken,
) -> Result<(), DbError> {
    // The name shows which processes may have died together.
    let worker = format!("{parent}/{}/{}", length.as_str(), Uuid::now_v7());
    let executor = Arc::new(settings.executor(context, registry, worker, Some(length)));
    let stop_renewing = CancellationToken::new();
    let renewing = repeat(MaintenanceTask::RenewLeases, settings.lease(), &stop_renewing, || executor.renew_leases());
    let running = async {
        let result = run_due_suspects(&executor, stop).await;
        executor.shutdown(settings.job_grace()).await;
        stop_renewing.cancel();
        result
    };
    tokio::join!(renewing, running).1
}

async fn run_due_suspects(executor: &Arc<Executor>, stop: &CancellationToken) -> Result<(), DbError> {
    while !stop.is_cancelled() && executor.claim(|| ()).await?.started > 0 {
        stop.run_until_cancelled(executor.wait_idle()).await;
    }
    Ok(())
}
