//! What keeps the ledger and the wire together: leases are renewed, dead workers' jobs rescued, due jobs rung for.
//!
//! Every worker sweeps; each step skips what another one has locked, so that many do no work twice. A bell is only ever a
//! matter of speed: whatever is due and was not rung for, or rung for in vain, is rung for here.

use std::sync::Arc;
use std::time::Duration;

use psp_dashboard::clock::SharedClock;
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::take_unrung;
use psp_dashboard::db::processes::{self, Role};
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::wire::{Wire, WireError};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::hands::SharedHands;

/// A bell that was rung and not answered for this long is rung again.
const RING_AGAIN: Duration = Duration::from_secs(5);
/// How many bells are rung at a time: far below the 8,000 that are fatal to an apalis queue.
const MOST_BELLS: i64 = 500;
const MOST_SWEPT: usize = 5_000;

/// What is done again and again, each at its own beat, so that one that is slow holds up no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Renew the leases of the jobs at work.
    Renew,
    /// Ring for due jobs.
    Ring,
    /// Take over the jobs of dead workers.
    Rescue,
    /// Say that this worker is alive.
    BePresent,
    /// Forget bells that were answered.
    SweepBells,
}

impl Duty {
    const ALL: [Self; 5] = [Self::Renew, Self::Ring, Self::Rescue, Self::BePresent, Self::SweepBells];

    fn period(self, lease: Duration) -> Duration {
        match self {
            Self::Renew => lease / 3,
            Self::Rescue => lease / 5,
            // The longest that a retry or a lost bell waits.
            Self::Ring => Duration::from_secs(1),
            Self::BePresent | Self::SweepBells => Duration::from_secs(5),
        }
    }
}

/// Sweeps for one worker process.
pub struct Sweeper {
    /// The ledger.
    pub pool: PgPool,
    /// The wire.
    pub wire: Wire,
    /// The time.
    pub clock: SharedClock,
    /// The hands whose leases are renewed.
    pub hands: SharedHands,
    /// The queues of this worker.
    pub queues: Vec<String>,
    /// The name of this process.
    pub worker: String,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
}

impl Sweeper {
    /// Sweeps until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let sweeper = Arc::new(self);
        let mut duties = JoinSet::new();
        for duty in Duty::ALL {
            duties.spawn(Arc::clone(&sweeper).repeat(duty, stop.clone()));
        }
        while duties.join_next().await.is_some() {}
    }

    async fn repeat(self: Arc<Self>, duty: Duty, stop: CancellationToken) {
        let period = duty.period(self.lease);
        let mut beat = tokio::time::interval(period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            if let Err(error) = self.perform(duty).await {
                tracing::warn!(%error, ?duty, "a duty could not be done; it is tried again");
                if duty == Duty::Rescue {
                    // Nobody could renew a lease while the database was away, so nobody is to be taken for dead yet.
                    stop.run_until_cancelled(tokio::time::sleep(self.lease)).await;
                }
            }
        }
    }

    async fn perform(&self, duty: Duty) -> Result<(), SweepError> {
        match duty {
            Duty::Renew => self.hands.renew_leases().await?,
            Duty::Ring => {
                for due in take_unrung(&self.pool, RING_AGAIN, MOST_BELLS).await? {
                    self.wire.ring(&due.queue, due.job_id).await?;
                }
            }
            Duty::Rescue => match rescue_jobs(&self.pool, &self.wire, self.clock.now()).await? {
                0 => {}
                jobs => tracing::warn!(jobs, "jobs of dead workers run again"),
            },
            Duty::BePresent => processes::upsert(&self.pool, &self.worker, Role::Worker).await?,
            Duty::SweepBells => {
                for queue in &self.queues {
                    self.wire.sweep_bells(queue, MOST_SWEPT).await?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Wire(#[from] WireError),
}
