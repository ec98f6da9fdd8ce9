//! Enqueues what is due, once a tick, however many schedulers there are.
//!
//! The only user of apalis-cron, and only of its stream of ticks: `pipe_to` would enqueue once for each scheduler, and
//! forgets what was missed (docs/decisions/0001). Each tick goes into the ledger under a unique constraint; at the start,
//! and after the machine slept, the last tick that nobody recorded is made up for, which lets missed syncs become one.

use std::sync::Arc;
use std::time::Duration;

use apalis_cron::CronScheduler;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use psp_dashboard::clock::SharedClock;
use psp_dashboard::db::processes::{self, Role};
use psp_dashboard::db::{DbError, schedule};
use psp_dashboard::domain::job::NewJob;
use psp_dashboard::operations::enqueue_job::enqueue_tick;
use psp_dashboard::wire::Wire;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::schedule::{Entry, Ticks};

const PRESENCE_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before a tick that could not be recorded is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A scheduler process.
#[derive(Clone)]
pub struct Scheduler {
    /// The ledger.
    pub pool: PgPool,
    /// The wire.
    pub wire: Wire,
    /// The time.
    pub clock: SharedClock,
}

impl Scheduler {
    /// Enqueues what is due of `table`, until `stop`.
    pub async fn run(self, table: Vec<Entry>, stop: CancellationToken) {
        let name = format!("scheduler-{}", Uuid::now_v7());
        tracing::info!(scheduler = %name, entries = table.len(), "the scheduler is at work");
        let tasks = TaskTracker::new();
        for entry in table {
            let (scheduler, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = scheduler.follow(&entry) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        tasks.close();
        let presence = self.be_present(&name);
        tokio::select! {
            () = stop.cancelled() => {}
            () = presence => {}
        }
        tasks.wait().await;
        if let Err(error) = processes::delete(&self.pool, &name).await {
            tracing::warn!(%error, "this scheduler could not say goodbye");
        }
    }

    async fn be_present(&self, name: &str) {
        loop {
            if let Err(error) = processes::upsert(&self.pool, name, Role::Scheduler).await {
                tracing::warn!(%error, "this scheduler could not say that it is alive");
            }
            tokio::time::sleep(PRESENCE_EVERY).await;
        }
    }

    /// Enqueues the ticks of one entry. The stream ends in an error when its next tick has passed already; it is begun anew.
    async fn follow(&self, entry: &Entry) {
        loop {
            let now = self.clock.now();
            self.record(entry, entry.every.last_tick(now)).await;
            let ticks = Ticks { every: entry.every, clock: Arc::clone(&self.clock) };
            let mut stream = std::pin::pin!(CronScheduler::new(ticks).into_stream());
            while let Some(Ok(tick)) = stream.next().await {
                let seconds = i64::try_from(tick.get_timestamp()).ok();
                if let Some(tick_at) = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)) {
                    self.record(entry, tick_at).await;
                }
            }
            tracing::warn!(
                schedule = entry.name,
                "ticks were missed: the clock has jumped, or the database was away; they become one"
            );
        }
    }

    /// Records a tick, however long the database is away: while it is, ticks coalesce.
    async fn record(&self, entry: &Entry, tick_at: DateTime<Utc>) {
        loop {
            match self.try_record(entry, tick_at).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, schedule = entry.name, "a tick could not be recorded yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_record(&self, entry: &Entry, tick_at: DateTime<Utc>) -> Result<(), DbError> {
        let last = schedule::find_last_tick(&self.pool, entry.name).await?;
        if last.is_some_and(|last| last >= tick_at) {
            return Ok(());
        }
        let job = NewJob { scheduled_for: Some(tick_at), ..(entry.job_at)(tick_at) };
        if let Some(enqueued) = enqueue_tick(&self.pool, &self.wire, entry.name, &job).await? {
            tracing::info!(schedule = entry.name, %tick_at, job_id = %enqueued.job_id, joined = enqueued.joined, "enqueued");
        }
        Ok(())
    }
}
