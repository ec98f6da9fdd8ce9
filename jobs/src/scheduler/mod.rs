//! Enqueues what is due, once a tick, however many schedulers there are.
//!
//! The only user of apalis-cron, and only of its stream of ticks: `pipe_to` would enqueue once for each scheduler, and
//! forgets what was missed (docs/decisions/0001). Each tick goes into the jobs table under a unique constraint, and with it
//! whatever of its schedule was missed before it: while no scheduler ran, while the machine slept, while the database was
//! away, or because the clock was set.

pub mod table;

use std::sync::Arc;
use std::time::Duration;

use apalis_cron::CronScheduler;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use psp_dashboard::clock::SharedClock;
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::Enqueued;
use psp_dashboard::db::jobs::processes;
use psp_dashboard::db::jobs::processes::ProcessRole;
use psp_dashboard::db::jobs::{schedule_entries, schedule_ticks};
use psp_dashboard::operations::enqueue_job::{TickOutcome, enqueue_tick};
use psp_dashboard::redis::Redis;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::table::{Entry, Missed, Ticks};

const PRESENCE_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before a tick that could not be recorded, or that another scheduler is about, is looked at again.
const PAUSE: Duration = Duration::from_secs(1);
/// How late a tick can be because the clock was set, or the machine slept.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How many missed ticks are made up for: a month of nights.
const MOST_MADE_UP: usize = 31;

/// A scheduler process.
#[derive(Clone)]
pub struct Scheduler {
    /// The jobs table.
    pub queue_pool: PgPool,
    /// Redis.
    pub redis: Redis,
    /// The time.
    pub clock: SharedClock,
}

impl Scheduler {
    /// Enqueues what is due of `table`, until `stop`.
    pub async fn run(self, table: Vec<Entry>, stop: CancellationToken) {
        let name = format!("scheduler-{}", Uuid::now_v7());
        tracing::info!(scheduler = %name, entries = table.len(), "the scheduler is at work");
        let tasks = TaskTracker::new();
        let shown = table.clone();
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
        let presence = self.be_present(&name, &shown);
        tokio::select! {
            () = stop.cancelled() => {}
            () = presence => {}
        }
        tasks.wait().await;
        if let Err(error) = processes::delete(&self.queue_pool, &name).await {
            tracing::warn!(%error, "this scheduler could not say goodbye");
        }
    }

    /// Says again and again that this scheduler is alive, and what it runs when.
    async fn be_present(&self, name: &str, table: &[Entry]) {
        loop {
            let now = self.clock.now();
            let shown: Vec<schedule_entries::ScheduleEntry> = table.iter().map(|entry| show(entry, now)).collect();
            let said = processes::upsert(&self.queue_pool, name, ProcessRole::Scheduler, &[]).await;
            if let Err(error) = said.and(schedule_entries::upsert_all(&self.queue_pool, &shown).await) {
                tracing::warn!(%error, "this scheduler could not say that it is alive");
            }
            tokio::time::sleep(PRESENCE_EVERY).await;
        }
    }

    /// Enqueues the ticks of one entry. The stream sleeps by a clock that neither jumps nor counts while the machine sleeps:
    /// so it is begun anew now and then, as it is where its next tick has passed already.
    async fn follow(&self, entry: &Entry) {
        loop {
            self.record_due(entry, self.clock.now()).await;
            let ticks = Ticks { when: entry.when.clone(), clock: Arc::clone(&self.clock) };
            let mut stream = std::pin::pin!(CronScheduler::new(ticks).into_stream());
            while let Ok(Some(Ok(tick))) = tokio::time::timeout(LONGEST_SLEEP, stream.next()).await {
                let seconds = i64::try_from(tick.get_timestamp()).ok();
                if let Some(tick_at) = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)) {
                    self.record_due(entry, tick_at).await;
                }
            }
        }
    }

    /// Records what is due at `now` and was not recorded, however long the database is away.
    async fn record_due(&self, entry: &Entry, now: DateTime<Utc>) {
        loop {
            match self.try_record_due(entry, now).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, schedule = %entry.name, "a tick could not be recorded yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Records what is due, oldest first, and says whether all of it is recorded. Nothing is recorded before what is older,
    /// so that the last tick that is recorded says what was missed.
    async fn try_record_due(&self, entry: &Entry, now: DateTime<Utc>) -> Result<bool, DbError> {
        let last = schedule_ticks::find_last(&self.queue_pool, &entry.name, now).await?;
        let most = match entry.missed {
            Missed::Coalesce => 1,
            Missed::MakeUp => MOST_MADE_UP,
        };
        let due = match last {
            Some(last) => entry.when.ticks_since(last, now, most),
            None => entry.when.last_tick(now).into_iter().collect(),
        };
        if due.len() > 1 {
            tracing::warn!(schedule = %entry.name, ticks = due.len(), "ticks were missed; each is made up for");
        }
        for tick_at in due {
            match enqueue_tick(&self.queue_pool, &self.redis, &entry.name, tick_at, (entry.job_at)(tick_at)).await? {
                TickOutcome::Enqueued(Enqueued { job_id, joined }) => {
                    tracing::info!(schedule = %entry.name, %tick_at, %job_id, joined, "enqueued");
                }
                TickOutcome::AlreadyRecorded => {}
                TickOutcome::Busy => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn show(entry: &Entry, now: DateTime<Utc>) -> schedule_entries::ScheduleEntry {
    let next = entry.when.next_tick(now);
    schedule_entries::ScheduleEntry {
        name: entry.name.to_string(),
        kind: (entry.job_at)(next.unwrap_or(now)).kind.name.to_owned(),
        expression: entry.when.to_string(),
        timezone: entry.when.zone().name().to_owned(),
        next_tick_at: next,
    }
}
