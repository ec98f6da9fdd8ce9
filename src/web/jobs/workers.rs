//! Workers, and what they run.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::db::count::Count;
use crate::db::jobs::processes::PROCESS_TIMEOUT;
use crate::db::jobs::workers::{self, ClaimedByWorker, WorkerCursor};
use crate::domain::job::{JobKind, SYNC_VIMA};
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::state::State;

request_fields! {
    /// Which workers are listed.
    struct WorkerQuery {
        /// Only workers that are alive (`true`), or only the others (`false`).
        alive: Option<bool>,
    }
}

/// A job that a worker runs.
#[derive(Debug, Clone, Object)]
struct WorkerJob {
    /// The id of the job, see `GET /jobs/{id}`.
    job_id: Uuid,
    /// The kind of job.
    kind: String,
    /// The queue of the job.
    queue: String,
    /// When the worker claimed it.
    since: Time,
    /// Whether it runs alone in a process that the worker has started, because an earlier worker died while it ran the job.
    isolated: bool,
}

impl From<ClaimedByWorker> for WorkerJob {
    fn from(job: ClaimedByWorker) -> Self {
        Self {
            job_id: job.job_id.0,
            kind: job.kind,
            queue: job.queue,
            since: Time(job.started_at),
            isolated: job.is_isolated,
        }
    }
}

/// A worker process.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Worker {
    /// The name of the process, which is in `attempts[].worker` of its jobs and in its log.
    name: String,
    /// The name of its host; null for workers of an earlier release, as `version` and `slots` are.
    host: Option<String>,
    /// The release of the process.
    version: Option<String>,
    /// The queues that it serves.
    queues: Vec<String>,
    /// How many jobs it runs at a time.
    slots: Option<u32>,
    /// When it started.
    started_at: Time,
    /// When it sent the last heartbeat; one is sent every five seconds.
    last_heartbeat_at: Time,
    /// Whether the last heartbeat is at most 30 seconds old, as in `GET /health`.
    alive: bool,
    /// The number of jobs that it has claimed. Short jobs are claimed ahead, so that there can be more than `slots`.
    running_count: u64,
    /// The jobs that it has claimed, the first one first; at most 100.
    running: Vec<WorkerJob>,
}

impl Worker {
    fn new(worker: workers::Worker, claimed: &[ClaimedByWorker]) -> Self {
        let running: Vec<&ClaimedByWorker> = claimed.iter().filter(|job| job.worker == worker.name).collect();
        Self {
            name: worker.name,
            host: worker.host,
            version: worker.version,
            queues: worker.queues,
            slots: worker.slots,
            started_at: Time(worker.started_at),
            last_heartbeat_at: Time(worker.last_seen_at),
            alive: worker.is_alive,
            running_count: running.first().map_or(0, |job| job.claimed),
            running: running.into_iter().cloned().map(WorkerJob::from).collect(),
        }
    }
}

impl Example for Worker {
    fn example() -> Self {
        Self {
            name: format!("worker-{EXAMPLE_ID}"),
            host: Some("psp-worker-7d9f4b6c5-x2k8p".to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            queues: JobKind::queues().into_iter().map(str::to_owned).collect(),
            slots: Some(8),
            started_at: Time(EXAMPLE_TIME - chrono::Duration::hours(6)),
            last_heartbeat_at: Time(EXAMPLE_TIME),
            alive: true,
            running_count: 1,
            running: vec![WorkerJob {
                job_id: EXAMPLE_ID,
                kind: SYNC_VIMA.name.to_owned(),
                queue: SYNC_VIMA.queue.to_owned(),
                since: Time(EXAMPLE_TIME - chrono::Duration::seconds(4)),
                isolated: false,
            }],
        }
    }
}

pub(in crate::web) struct WorkersApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl WorkersApi {
    /// List workers
    ///
    /// The processes that run jobs, the one that started last first: host, release, queues, last heartbeat and running jobs. A worker
    /// that stops properly is not listed any more; one that died is listed for a day, with `alive: false`.
    #[oai(path = "/workers", method = "get", operation_id = "listWorkers")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        query: Query<WorkerQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<Worker>>, Fails> {
        let alive = query.0.alive;
        let asked: Window<WorkerCursor> = state.cursors.window("workers", &page.0)?;
        let window = asked.to_db();
        let (found, total) = tokio::try_join!(
            workers::list(&state.pool, alive, PROCESS_TIMEOUT, &window),
            workers::count(&state.pool, alive, PROCESS_TIMEOUT)
        )?;
        let claimed = workers::list_claimed(&state.pool, &found).await?;
        let count = Count { total, exact: true };
        let page = state.cursors.page("workers", &asked, count, found, workers::Worker::cursor);
        Ok(Json(page.map(|worker| Worker::new(worker, &claimed))))
    }
}
