//! Queues: their status, pausing and resuming.

use std::sync::Arc;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::db::DbError;
use crate::db::jobs::processes::PROCESS_TIMEOUT;
use crate::db::jobs::queues;
use crate::db::jobs::queues::QueueLookback;
use crate::domain::job::{JobKind, SYNC_VIMA};
use crate::operations::audit::AuditContext;
use crate::operations::pause_queue::{pause_queue, resume_queue};
use crate::web::http::fails::{Fails, NotFound};
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::path::Path;
use crate::web::http::schema::Time;
use crate::web::state::State;

/// The time over which throughput is measured.
const THROUGHPUT_WINDOW: Duration = Duration::from_mins(5);

/// Number of unfinished jobs of a queue, by state.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(super) struct QueueDepth {
    /// Jobs that wait for a worker.
    queued: u64,
    /// Jobs that wait for their due time.
    scheduled: u64,
    /// Jobs that a worker runs.
    running: u64,
    /// Jobs that wait for their next attempt.
    retrying: u64,
}

impl From<queues::QueueDepth> for QueueDepth {
    fn from(queues::QueueDepth { queued, scheduled, running, retrying }: queues::QueueDepth) -> Self {
        Self { queued, scheduled, running, retrying }
    }
}

/// Recently finished jobs of a queue.
#[derive(Debug, Clone, Object)]
struct QueueThroughput {
    /// Number of jobs that succeeded or failed within the window.
    finished: u64,
    /// Number of jobs that failed within the window.
    failed: u64,
    /// Length of the window, in seconds.
    window_seconds: u64,
    /// Mean number of jobs that succeeded or failed per minute.
    per_minute: f64,
}

impl QueueThroughput {
    fn new(finished: u64, failed: u64) -> Self {
        let minutes = THROUGHPUT_WINDOW.as_secs_f64() / 60.0;
        let window_seconds = THROUGHPUT_WINDOW.as_secs();
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
        let per_minute = finished as f64 / minutes;
        Self { finished, failed, window_seconds, per_minute }
    }
}

/// The status of a queue.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Queue {
    /// The name of the queue.
    name: String,
    /// Whether the queue is paused: workers start none of its jobs.
    paused: bool,
    /// When the queue was paused.
    paused_at: Option<Time>,
    /// The name of the API key that paused the queue.
    paused_by: Option<String>,
    /// Number of unfinished jobs, by state.
    depth: QueueDepth,
    /// For how many seconds the oldest due job has been due; null if no job is due.
    oldest_waiting_seconds: Option<u64>,
    /// Jobs finished in the last five minutes.
    throughput: QueueThroughput,
    /// Number of live workers that serve the queue.
    workers_alive: u64,
}

impl From<queues::QueueStatus> for Queue {
    fn from(queue: queues::QueueStatus) -> Self {
        let (paused_at, paused_by) = queue.pause.map(|pause| (Time(pause.paused_at), pause.paused_by)).unzip();
        Self {
            name: queue.name,
            paused: paused_at.is_some(),
            paused_at,
            paused_by,
            depth: queue.depth.into(),
            oldest_waiting_seconds: queue.oldest_waiting.map(|waiting| waiting.as_secs()),
            throughput: QueueThroughput::new(queue.finished, queue.failed),
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
            throughput: QueueThroughput::new(12, 1),
            workers_alive: 2,
        }
    }
}

/// All queues.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Queues {
    /// The queues, sorted by name.
    items: Vec<Queue>,
}

impl Example for Queues {
    fn example() -> Self {
        Self { items: vec![Queue::example()] }
    }
}

pub(in crate::web) struct QueuesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl QueuesApi {
    /// List queues
    ///
    /// Per queue: whether it is paused, its unfinished jobs by state, the age of the oldest due job, the throughput of the last
    /// five minutes, and the number of live workers.
    #[oai(path = "/queues", method = "get", operation_id = "listQueues")]
    async fn list(&self, state: Data<&Arc<State>>) -> Result<Json<Queues>, Fails> {
        Ok(Json(Queues { items: all(&state).await? }))
    }

    /// Pause a queue
    ///
    /// No worker, including workers started later, starts a job of the queue until it is resumed; running jobs continue. Pausing
    /// a paused queue changes nothing. Requires the role admin.
    #[oai(path = "/queues/:name/pause", method = "post", operation_id = "pauseQueue")]
    async fn pause(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The name of the queue.
        name: Path<String>,
    ) -> Result<Json<Queue>, Fails<NotFound>> {
        if !pause_queue(&state.pool, &name.0, &audit, state.clock.now()).await? {
            return Err(NotFound("queue").into());
        }
        one(&state, &name.0).await
    }

    /// Resume a queue
    ///
    /// Workers start jobs of the queue again within a second. Resuming a queue that is not paused changes nothing. Requires the
    /// role admin.
    #[oai(path = "/queues/:name/resume", method = "post", operation_id = "resumeQueue")]
    async fn resume(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The name of the queue.
        name: Path<String>,
    ) -> Result<Json<Queue>, Fails<NotFound>> {
        if !resume_queue(&state.pool, &name.0, &audit, state.clock.now()).await? {
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
