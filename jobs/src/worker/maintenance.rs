//! What a worker does again and again beside its jobs: renew their leases, and look after what nobody looks after.
//!
//! Every worker sweeps; each step skips what another one has locked, so that many do no work twice.

use std::sync::Arc;
use std::time::Duration;

use psp_dashboard::clock::SharedClock;
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::leases::find_unattended;
use psp_dashboard::db::jobs::processes;
use psp_dashboard::db::jobs::processes::Role;
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::redis::{Wire, WireError};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::executor::Hands;
use super::isolation::Isolation;
use super::lease_monitor::Vigil;

/// The longest that a job at work does not hear that it was told to stop.
const LONGEST_UNHEARD: Duration = Duration::from_secs(1);
/// Suspects that have been due for longer than this are nobody else's: whoever rescued them died, or was stopped.
const SUSPECTS_WAIT: Duration = Duration::from_secs(2);
const MOST_SWEPT: usize = 5_000;

/// What is done again and again, each at its own beat, so that one that is slow holds up no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Renew the leases of the jobs at work.
    Renew,
    /// Take over the jobs of dead workers, and see that suspects are run.
    Rescue,
    /// Say that this worker is alive.
    BePresent,
    /// Forget bells that were answered.
    SweepBells,
}

impl Duty {
    /// Those of a worker.
    pub const ALL: [Self; 4] = [Self::Renew, Self::Rescue, Self::BePresent, Self::SweepBells];

    fn period(self, lease: Duration) -> Duration {
        match self {
            Self::Renew => (lease / 3).min(LONGEST_UNHEARD),
            Self::Rescue => lease / 5,
            Self::BePresent | Self::SweepBells => Duration::from_secs(5),
        }
    }
}

/// Sweeps for one worker process.
pub struct Sweeper {
    /// The ledger.
    pub ledger: PgPool,
    /// The wire.
    pub wire: Wire,
    /// The time.
    pub clock: SharedClock,
    /// The hands whose leases are renewed.
    pub hands: Arc<Hands>,
    /// Who runs suspects.
    pub isolation: Isolation,
    /// The queues of this worker.
    pub queues: Vec<String>,
    /// The name of this process.
    pub worker: String,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// How long it has watched.
    pub vigil: Mutex<Vigil>,
}

impl Sweeper {
    /// Does all duties until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let sweeper = Arc::new(self);
        let mut duties = JoinSet::new();
        for duty in Duty::ALL {
            let (sweeper, stop) = (Arc::clone(&sweeper), stop.clone());
            duties.spawn(async move { repeat(duty, sweeper.lease, &stop, || sweeper.perform(duty)).await });
        }
        while duties.join_next().await.is_some() {}
    }

    async fn perform(&self, duty: Duty) -> Result<(), SweepError> {
        match duty {
            Duty::Renew => self.hands.renew_leases().await?,
            Duty::Rescue => self.rescue().await?,
            Duty::BePresent => processes::upsert(&self.ledger, &self.worker, Role::Worker, &self.queues).await?,
            Duty::SweepBells => {
                for queue in &self.queues {
                    self.wire.sweep_bells(queue, MOST_SWEPT).await?;
                }
            }
        }
        Ok(())
    }

    async fn rescue(&self) -> Result<(), SweepError> {
        let unattended = find_unattended(&self.ledger, &self.queues, SUSPECTS_WAIT).await?;
        let may_rescue = self.vigil.lock().await.look(Instant::now());
        if unattended.suspects {
            self.isolation.want();
        }
        if unattended.leases && may_rescue {
            for lost in rescue_jobs(&self.ledger, &self.wire, self.clock.now()).await? {
                tracing::warn!(job_id = %lost.job_id, kind = lost.kind, state = lost.state.as_str(), "its worker has died");
                self.isolation.want();
            }
        }
        Ok(())
    }
}

/// Does `perform` again and again, at the beat of `duty`, until `stop`.
pub async fn repeat<F: Future<Output = Result<(), E>>, E: std::fmt::Display>(
    duty: Duty,
    lease: Duration,
    stop: &CancellationToken,
    perform: impl Fn() -> F,
) {
    let mut beat = tokio::time::interval(duty.period(lease));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(beat.tick()).await.is_some() {
        if let Err(error) = perform().await {
            tracing::warn!(%error, ?duty, "a duty could not be done; it is tried again");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Wire(#[from] WireError),
}
