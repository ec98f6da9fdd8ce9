//! Queues: how they stand, paused and resumed for all processes.

use std::sync::Arc;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::db::DbError;
use crate::db::jobs::queues;
use crate::db::jobs::queues::QueueLookback;
use crate::domain::job::{JobKind, SYNC_VIMA};
use crate::operations::pause_queue::{pause_queue, resume_queue};
use crate::web::http::auth::{Admin, Viewer};
use crate::web::http::fails::{Fails, NotFound};
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::path::Path;
use crate::web::http::schema::Time;
use crate::web::state::{PROCESS_TIMEOUT, State};

/// How far back the throughput looks.
const THROUGHPUT_WINDOW: Duration = Duration::from_mins(5);

/// How many jobs of a queue have not ended, by their states.
#[derive(Debug, Clone, Object)]
struct QueueDepth {
    /// That wait for a worker.
    queued: u64,
    /// That wait for their time.
    scheduled: u64,
    /// That a worker has.
    running: u64,
    /// That wait for their next attempt.
    retrying: u64,
}

/// What the workers of a queue got done lately.
#[derive(Debug, Clone, Object)]
struct QueueThroughput {
    /// Jobs that succeeded or failed.
    finished: u64,
    /// Those of them that failed.
    failed: u64,
    /// How long "lately" is.
    window_seconds: u64,
    /// Jobs that succeeded or failed in a minute.
    per_minute: f64,
}

impl QueueThroughput {
    fn of(finished: u64, failed: u64) -> Self {
        let minutes = THROUGHPUT_WINDOW.as_secs_f64() / 60.0;
        let window_seconds = THROUGHPUT_WINDOW.as_secs();
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
        let per_minute = finished as f64 / minutes;
        Self { finished, failed, window_seconds, per_minute }
    }
}

/// How a queue stands.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Queue {
    /// Its name.
    name: String,
    /// Whether workers leave it alone.
    paused: bool,
    /// Since when.
    paused_at: Option<Time>,
    /// Who paused it.
    paused_by: Option<String>,
    /// Its jobs that have not ended.
    depth: QueueDepth,
    /// For how long the longest due job has been due; null where none is.
    oldest_waiting_seconds: Option<u64>,
    /// What its workers got done lately.
    throughput: QueueThroughput,
    /// Workers that serve it and were seen lately.
    workers_alive: u64,
}

impl From<queues::QueueStatus> for Queue {
    fn from(queue: queues::QueueStatus) -> Self {
        let (paused_at, paused_by) = queue.pause.map(|pause| (Time(pause.paused_at), pause.paused_by)).unzip();
        let queues::QueueDepth { queued, scheduled, running, retrying } = queue.depth;
        Self {
            name: queue.name,
            paused: paused_at.is_some(),
            paused_at,
            paused_by,
            depth: QueueDepth { queued, scheduled, running, retrying },
            oldest_waiting_seconds: queue.oldest_waiting.map(|waiting| waiting.as_secs()),
            throughput: QueueThroughput::of(queue.finished, queue.failed),
            workers_alive: queue.workers_alive,
        }
    }
}

impl Example for Queue {
    fn example() -> Self {
        Self {
            name: SYNC_VIMA.queue.to_owned(),
            paused: true,
            paused_at: Some(Time(EXAMPLE_TIME)),
            paused_by: Some("ada".to_owned()),
            depth: QueueDepth { queued: 2, scheduled: 0, running: 1, retrying: 1 },
            oldest_waiting_seconds: Some(14),
            throughput: QueueThroughput::of(12, 1),
            workers_alive: 2,
        }
    }
}

/// Every queue.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Queues {
    /// Each queue, by its name.
    items: Vec<Queue>,
}

impl Example for Queues {
    fn example() -> Self {
        Self { items: vec![Queue::example()] }
    }
}

/// The endpoints.
pub(in crate::web) struct QueuesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl QueuesApi {
    /// List the queues
    ///
    /// Of each: whether it is paused, how many of its jobs have not ended, how long the longest has been due, what was got
    /// done in the last five minutes, and how many workers serve it.
    #[oai(path = "/queues", method = "get", operation_id = "listQueues")]
    async fn list(&self, state: Data<&Arc<State>>, _viewer: Viewer) -> Result<Json<Queues>, Fails> {
        Ok(Json(Queues { items: all(&state).await? }))
    }

    /// Pause a queue
    ///
    /// No worker takes a job of it until it is resumed, nor do workers that start meanwhile; jobs that run go on. Pausing a
    /// paused queue changes nothing. Takes the role admin.
    #[oai(path = "/queues/:name/pause", method = "post", operation_id = "pauseQueue")]
    async fn pause(
        &self,
        state: Data<&Arc<State>>,
        admin: Admin,
        /// The queue's name.
        name: Path<String>,
    ) -> Result<Json<Queue>, Fails<NotFound>> {
        if !pause_queue(&state.pool, &name.0, &admin.0.name).await? {
            return Err(NotFound("queue").into());
        }
        one(&state, &name.0).await
    }

    /// Resume a queue
    ///
    /// Workers take jobs of it again, within a second. Resuming a queue that is not paused changes nothing. Takes the role
    /// admin.
    #[oai(path = "/queues/:name/resume", method = "post", operation_id = "resumeQueue")]
    async fn resume(
        &self,
        state: Data<&Arc<State>>,
        admin: Admin,
        /// The queue's name.
        name: Path<String>,
    ) -> Result<Json<Queue>, Fails<NotFound>> {
        if !resume_queue(&state.pool, &name.0, &admin.0.name).await? {
            return Err(NotFound("queue").into());
        }
        one(&state, &name.0).await
    }
}

async fn all(state: &State) -> Result<Vec<Queue>, DbError> {
    let known: Vec<&str> = JobKind::queues().into_iter().collect();
    let lately = QueueLookback { finished: THROUGHPUT_WINDOW, seen: PROCESS_TIMEOUT };
    Ok(queues::list(&state.pool, &known, lately).await?.into_iter().map(Queue::from).collect())
}

async fn one(state: &State, name: &str) -> Result<Json<Queue>, Fails<NotFound>> {
    let queue = all(state).await?.into_iter().find(|queue| queue.name == name);
    Ok(queue.map(Json).ok_or(NotFound("queue"))?)
}
