//! Enqueues scheduled jobs: one job per tick, however many schedulers run.
//!
//! This is the only user of apalis-cron, and only of its stream of ticks: its `pipe_to` would enqueue once per scheduler, and
//! it forgets missed ticks (docs/decisions/0001). Each tick is inserted into the jobs table under a unique constraint. With
//! it are inserted the ticks of its entry that were missed before: while no scheduler ran, the machine slept, the database
//! was unavailable, or because the clock was set.

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
use psp_dashboard::observability::record::{self, TickRecorded};
use psp_dashboard::observability::traces::{self, Work};
use psp_dashboard::operations::enqueue_job::{TickOutcome, enqueue_tick};
use psp_dashboard::operations::record_queue_minute::record_queue_minute;
use psp_dashboard::operations::send_heartbeat::send_heartbeat;
use psp_dashboard::redis::Redis;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use self::table::{MissedTicks, RecurrenceSchedule, ScheduledJob};

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// How long to wait before a tick is tried again that could not be recorded, or that another scheduler is recording.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How late a tick can be after the clock was set or the machine slept.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// How long a stopping scheduler may take to finish a tick. A tick that was cut off after its commit would leave a job of which
/// neither the workers nor the log have heard.
const FINISH_TIME: Duration = Duration::from_secs(5);
/// How many missed ticks are made up for: a month of nights.
const MAX_MADE_UP: usize = 31;

#[derive(Clone)]
pub struct Scheduler {
    pub queue_pool: PgPool,
    pub redis: Redis,
    pub clock: SharedClock,
}

impl Scheduler {
    /// Enqueues the jobs of `table` until `stop`.
    pub async fn run(self, table: Vec<ScheduledJob>, stop: CancellationToken) {
        let name = format!("scheduler-{}", Uuid::now_v7());
        tracing::info!(scheduler = %name, entries = table.len(), "scheduler started");
        record::prepare_scheduler(table.iter().map(|entry| &*entry.name));
        let tasks = TaskTracker::new();
        for entry in table.clone() {
            let (scheduler, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move { scheduler.follow(&entry, &stop).await });
        }
        tasks.close();
        stop.run_until_cancelled(self.send_heartbeats(&name, &table)).await;
        tasks.wait().await;
        if let Err(error) = processes::delete(&self.queue_pool, &name).await {
            tracing::warn!(%error, "failed to deregister scheduler");
        }
    }

    /// Records periodically that this scheduler is alive, its entries with their next ticks, and the history of the queues.
    async fn send_heartbeats(&self, name: &str, table: &[ScheduledJob]) {
        loop {
            let now = self.clock.now();
            let entries: Vec<schedule_entries::ScheduleEntry> =
                table.iter().map(|entry| stored_entry(entry, now)).collect();
            let alive = send_heartbeat(&self.queue_pool, name, ProcessRole::Scheduler, &[], None).await;
            if let Err(error) = alive.and(schedule_entries::upsert_all(&self.queue_pool, &entries).await) {
                tracing::warn!(%error, "scheduler heartbeat failed, retrying");
            }
            if let Err(error) = record_queue_minute(&self.queue_pool).await {
                tracing::warn!(%error, "failed to record the history of the queues, retrying");
            }
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        }
    }

    /// Enqueues the ticks of one entry. The stream sleeps by a clock that does not jump, and that stops while the machine
    /// sleeps. So it is restarted periodically, and also when its next tick has already passed.
    async fn follow(&self, entry: &ScheduledJob, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.record_due(entry, self.clock.now(), stop).await;
            let ticks = RecurrenceSchedule { when: entry.when.clone(), clock: Arc::clone(&self.clock) };
            let mut stream = std::pin::pin!(CronScheduler::new(ticks).into_stream());
            while let Some(Ok(Some(Ok(tick)))) =
                stop.run_until_cancelled(tokio::time::timeout(MAX_SLEEP, stream.next())).await
            {
                let seconds = i64::try_from(tick.get_timestamp()).ok();
                if let Some(tick_at) = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)) {
                    self.record_due(entry, tick_at, stop).await;
                }
            }
        }
    }

    /// Records all ticks that are due at `now`, however long the database is unavailable. When the scheduler stops, the tick that is
    /// being recorded is finished and no other is begun.
    async fn record_due(&self, entry: &ScheduledJob, now: DateTime<Utc>, stop: &CancellationToken) {
        let finish_time = async {
            stop.cancelled().await;
            tokio::time::sleep(FINISH_TIME).await;
        };
        let record_all = async {
            while !stop.is_cancelled() {
                match self.try_record_due(entry, now, stop).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, schedule = %entry.name, "failed to record a tick, retrying"),
                }
                stop.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await;
            }
        };
        tokio::select! {
            () = record_all => {}
            () = finish_time => tracing::warn!(schedule = %entry.name, "stopped while a tick was being recorded"),
        }
    }

    /// Records the due ticks, oldest first, and returns whether all of them are recorded. A tick is only recorded after all
    /// older ones, so the last recorded tick shows which were missed.
    async fn try_record_due(
        &self,
        entry: &ScheduledJob,
        now: DateTime<Utc>,
        stop: &CancellationToken,
    ) -> Result<bool, DbError> {
        let last = schedule_ticks::find_last(&self.queue_pool, &entry.name, now).await?;
        let limit = match entry.missed {
            MissedTicks::Coalesce => 1,
            MissedTicks::MakeUp => MAX_MADE_UP,
        };
        let due = match last {
            Some(last) => entry.when.ticks_since(last, now, limit),
            None => entry.when.last_tick(now).into_iter().collect(),
        };
        if due.len() > 1 {
            tracing::warn!(schedule = %entry.name, ticks = due.len(), "ticks were missed, enqueueing a job for each");
        }
        for tick_at in due {
            if stop.is_cancelled() {
                return Ok(false);
            }
            let trace = traces::start(Work::Own, None);
            let span = tracing::info_span!("tick", trace_id = %trace.context.trace_id);
            trace.attach(&span);
            if !self.record(entry, tick_at).instrument(span).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Records one tick, in a trace of its own. `false` if another scheduler is recording it.
    async fn record(&self, entry: &ScheduledJob, tick_at: DateTime<Utc>) -> Result<bool, DbError> {
        traces::describe(|step| step.set("psp.schedule", entry.name.to_string()));
        match enqueue_tick(&self.queue_pool, &self.redis, &entry.name, tick_at, (entry.job_at)(tick_at)).await? {
            TickOutcome::Enqueued(Enqueued { job_id, joined }) => {
                let recorded = if joined { TickRecorded::Joined } else { TickRecorded::Enqueued };
                let delay = (self.clock.now() - tick_at).to_std().unwrap_or_default();
                record::scheduler_tick(&entry.name, recorded, delay);
                tracing::info!(schedule = %entry.name, %tick_at, %job_id, joined, "scheduled job enqueued");
            }
            TickOutcome::AlreadyRecorded => {}
            TickOutcome::Busy => return Ok(false),
        }
        Ok(true)
    }
}

fn stored_entry(entry: &ScheduledJob, now: DateTime<Utc>) -> schedule_entries::ScheduleEntry {
    let next = entry.when.next_tick(now);
    schedule_entries::ScheduleEntry {
        name: entry.name.to_string(),
        kind: (entry.job_at)(next.unwrap_or(now)).kind.name.to_owned(),
        expression: entry.when.to_string(),
        timezone: entry.when.zone().name().to_owned(),
        next_tick_at: next,
    }
}
