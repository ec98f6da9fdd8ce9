//! The periodic tasks of a worker: renewing its leases, taking over jobs of dead workers, its heartbeat, the history of the queues,
//! deleting old wake-ups, and dispatching webhooks.
//!
//! Every worker runs them. Each statement skips rows that another worker has locked, so many workers do not repeat work.

use std::sync::Arc;
use std::time::Duration;

use psp_dashboard::db::DbError;
use psp_dashboard::db::installation;
use psp_dashboard::db::jobs::leases::find_unattended;
use psp_dashboard::db::jobs::processes::ProcessRole;
use psp_dashboard::domain::job::{DELIVER_WEBHOOK, SuspectLength};
use psp_dashboard::observability::record;
use psp_dashboard::operations::record_queue_minute::record_queue_minute;
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::operations::send_heartbeat::send_heartbeat;
use psp_dashboard::operations::webhooks::dispatch::dispatch;
use psp_dashboard::redis::RedisError;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::executor::{Executor, ExecutorSettings};
use super::isolation::Isolation;
use super::lease_monitor::LeaseMonitor;
use crate::handler::kind_name;
use crate::job_context::JobContext;

/// The longest time until a running job notices a cancellation, which it does when its lease is renewed.
const MAX_CANCEL_DELAY: Duration = Duration::from_secs(1);
/// Suspects that have been due for longer than this are run by any worker: the one that found them has died or stopped.
const SUSPECTS_WAIT: Duration = Duration::from_secs(2);
const SWEEP_LIMIT: usize = 5_000;

/// Each task has a timer of its own, so that a slow one does not delay the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaintenanceTask {
    RenewLeases,
    /// Takes over the jobs of dead workers, and makes sure that suspects run.
    Rescue,
    Heartbeat,
    RecordQueues,
    /// Deletes the messages of wake-ups that were received.
    SweepWakeups,
    /// Notices another installation with the same namespace of Redis.
    ClaimNamespace,
    /// Turns new events into deliveries, and enqueues the jobs that make them.
    DispatchWebhooks,
}

impl MaintenanceTask {
    const ALL: [Self; 7] = [
        Self::RenewLeases,
        Self::Rescue,
        Self::Heartbeat,
        Self::RecordQueues,
        Self::SweepWakeups,
        Self::ClaimNamespace,
        Self::DispatchWebhooks,
    ];

    fn period(self, lease: Duration) -> Duration {
        match self {
            Self::RenewLeases => (lease / 3).min(MAX_CANCEL_DELAY),
            Self::Rescue => lease / 5,
            Self::Heartbeat | Self::RecordQueues | Self::SweepWakeups => Duration::from_secs(5),
            Self::ClaimNamespace => Duration::from_secs(20),
            Self::DispatchWebhooks => Duration::from_secs(1),
        }
    }
}

pub struct Maintenance {
    executor: Arc<Executor>,
    isolation: Isolation,
    lease_monitor: Mutex<LeaseMonitor>,
}

impl Maintenance {
    #[must_use]
    pub fn new(executor: Arc<Executor>, isolation: Isolation) -> Self {
        let lease_monitor = Mutex::new(LeaseMonitor::new(executor.settings().lease));
        Self { executor, isolation, lease_monitor }
    }

    /// Repeats all tasks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let maintenance = Arc::new(self);
        let mut tasks = JoinSet::new();
        for task in MaintenanceTask::ALL {
            let (maintenance, stop) = (Arc::clone(&maintenance), stop.clone());
            let lease = maintenance.executor.settings().lease;
            tasks.spawn(async move { repeat(task, lease, &stop, || maintenance.perform(task)).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn perform(&self, task: MaintenanceTask) -> Result<(), MaintenanceError> {
        let result = self.try_perform(task).await;
        if let Err(MaintenanceError::Database(_)) = result {
            self.lease_monitor.lock().await.interrupt();
        }
        result
    }

    async fn try_perform(&self, task: MaintenanceTask) -> Result<(), MaintenanceError> {
        let ExecutorSettings { context, queues, worker, slots, .. } = self.executor.settings();
        match task {
            MaintenanceTask::RenewLeases => self.executor.renew_leases().await?,
            MaintenanceTask::Rescue => self.rescue().await?,
            MaintenanceTask::Heartbeat => {
                send_heartbeat(&context.queue_pool, worker, ProcessRole::Worker, queues, Some(*slots)).await?;
            }
            MaintenanceTask::RecordQueues => record_queue_minute(&context.queue_pool).await?,
            MaintenanceTask::SweepWakeups => {
                for queue in queues {
                    context.redis.sweep_wakeups(queue, SWEEP_LIMIT).await?;
                }
            }
            MaintenanceTask::ClaimNamespace => {
                let installation = installation::get_id(&context.queue_pool).await?;
                context.redis.claim_namespace(&installation).await?;
            }
            MaintenanceTask::DispatchWebhooks if queues.iter().any(|queue| queue == DELIVER_WEBHOOK.queue) => {
                dispatch(&context.queue_pool, &context.redis, context.clock.now()).await?;
            }
            MaintenanceTask::DispatchWebhooks => {}
        }
        Ok(())
    }

    async fn rescue(&self) -> Result<(), DbError> {
        let ExecutorSettings { context, registry, queues, .. } = self.executor.settings();
        let JobContext { queue_pool, redis, clock, .. } = &**context;
        let unattended = find_unattended(queue_pool, queues, &registry.long_keys(), SUSPECTS_WAIT).await?;
        let may_rescue = self.lease_monitor.lock().await.observe(Instant::now());
        if unattended.short_suspects {
            self.isolation.request(SuspectLength::Short);
        }
        if unattended.long_suspects {
            self.isolation.request(SuspectLength::Long);
        }
        if unattended.leases && may_rescue {
            for lost in rescue_jobs(queue_pool, redis, clock.now()).await? {
                record::job_rescued(kind_name(registry.find(&lost.kind)));
                tracing::warn!(
                    job_id = %lost.job_id,
                    kind = lost.kind,
                    state = lost.state.as_str(),
                    "took over a job of a dead worker"
                );
                for length in SuspectLength::ALL {
                    self.isolation.request(length);
                }
            }
        }
        Ok(())
    }
}

/// Calls `perform` with the period of `task` until `stop`.
pub async fn repeat<F: Future<Output = Result<(), E>>, E: std::fmt::Display>(
    task: MaintenanceTask,
    lease: Duration,
    stop: &CancellationToken,
    perform: impl Fn() -> F,
) {
    let mut interval = tokio::time::interval(task.period(lease));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        if let Err(error) = perform().await {
            tracing::warn!(%error, ?task, "maintenance task failed, retrying");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum MaintenanceError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Redis(#[from] RedisError),
}
