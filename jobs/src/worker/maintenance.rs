//! What a worker does again and again beside its jobs: renew their leases, and look after what nobody looks after.
//!
//! Every worker sweeps; each step skips what another one has locked, so that many do no work twice.

use std::sync::Arc;
use std::time::Duration;

use psp_dashboard::clock::SharedClock;
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::leases::find_unattended;
use psp_dashboard::db::jobs::processes;
use psp_dashboard::db::jobs::processes::ProcessRole;
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::redis::{Redis, RedisError};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::executor::Executor;
use super::isolation::Isolation;
use super::lease_monitor::LeaseMonitor;

/// The longest that a job at work does not hear that it was told to stop.
const LONGEST_UNHEARD: Duration = Duration::from_secs(1);
/// Suspects that have been due for longer than this are nobody else's: whoever rescued them died, or was stopped.
const SUSPECTS_WAIT: Duration = Duration::from_secs(2);
const MOST_SWEPT: usize = 5_000;

/// What is done again and again, each at its own beat, so that one that is slow holds up no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaintenanceTask {
    /// Renew the leases of the jobs at work.
    Renew,
    /// Take over the jobs of dead workers, and see that suspects are run.
    Rescue,
    /// Say that this worker is alive.
    Heartbeat,
    /// Forget bells that were answered.
    SweepWakeups,
}

impl MaintenanceTask {
    /// Those of a worker.
    pub const ALL: [Self; 4] = [Self::Renew, Self::Rescue, Self::Heartbeat, Self::SweepWakeups];

    fn period(self, lease: Duration) -> Duration {
        match self {
            Self::Renew => (lease / 3).min(LONGEST_UNHEARD),
            Self::Rescue => lease / 5,
            Self::Heartbeat | Self::SweepWakeups => Duration::from_secs(5),
        }
    }
}

/// Sweeps for one worker process.
pub struct Maintenance {
    /// The jobs table.
    pub queue_pool: PgPool,
    /// Redis.
    pub redis: Redis,
    /// The time.
    pub clock: SharedClock,
    /// The hands whose leases are renewed.
    pub executor: Arc<Executor>,
    /// Who runs suspects.
    pub isolation: Isolation,
    /// The queues of this worker.
    pub queues: Vec<String>,
    /// The name of this process.
    pub worker: String,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// How long it has watched.
    pub lease_monitor: Mutex<LeaseMonitor>,
}

impl Maintenance {
    /// Does all duties until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let maintenance = Arc::new(self);
        let mut tasks = JoinSet::new();
        for task in MaintenanceTask::ALL {
            let (maintenance, stop) = (Arc::clone(&maintenance), stop.clone());
            tasks.spawn(async move { repeat(task, maintenance.lease, &stop, || maintenance.perform(task)).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn perform(&self, task: MaintenanceTask) -> Result<(), SweepError> {
        match task {
            MaintenanceTask::Renew => self.executor.renew_leases().await?,
            MaintenanceTask::Rescue => self.rescue().await?,
            MaintenanceTask::Heartbeat => {
                processes::upsert(&self.queue_pool, &self.worker, ProcessRole::Worker, &self.queues).await?
            }
            MaintenanceTask::SweepWakeups => {
                for queue in &self.queues {
                    self.redis.sweep_wakeups(queue, MOST_SWEPT).await?;
                }
            }
        }
        Ok(())
    }

    async fn rescue(&self) -> Result<(), SweepError> {
        let unattended = find_unattended(&self.queue_pool, &self.queues, SUSPECTS_WAIT).await?;
        let may_rescue = self.lease_monitor.lock().await.observe(Instant::now());
        if unattended.suspects {
            self.isolation.want();
        }
        if unattended.leases && may_rescue {
            for lost in rescue_jobs(&self.queue_pool, &self.redis, self.clock.now()).await? {
                tracing::warn!(job_id = %lost.job_id, kind = lost.kind, state = lost.state.as_str(), "its worker has died");
                self.isolation.want();
            }
        }
        Ok(())
    }
}

/// Does `perform` again and again, at the beat of `duty`, until `stop`.
pub async fn repeat<F: Future<Output = Result<(), E>>, E: std::fmt::Display>(
    task: MaintenanceTask,
    lease: Duration,
    stop: &CancellationToken,
    perform: impl Fn() -> F,
) {
    let mut beat = tokio::time::interval(task.period(lease));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(beat.tick()).await.is_some() {
        if let Err(error) = perform().await {
            tracing::warn!(%error, ?task, "a task could not be done; it is tried again");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Redis(#[from] RedisError),
}
