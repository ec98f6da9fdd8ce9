//! Servers and processes for trials of the queue: no providers, and jobs that behave as they are told.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use psp_dashboard::domain::job::{JobId, JobKind};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::redis::Redis;
use psp_test_jobs::{effects, kinds};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::programs::{Program, Running};
use super::servers::{Servers, number};
use super::{PATIENCE, eventually};

/// Servers, and whichever processes a trial starts beside them.
pub(crate) struct Trial {
    /// Its servers.
    pub(crate) servers: Servers,
    /// Connections to its database.
    pub(crate) pool: PgPool,
    /// The way to Redis.
    pub(crate) redis: Redis,
    started: AtomicU32,
}

/// A process of `psp-test-jobs`, that can be told from others in the database.
pub(crate) struct Process {
    /// The process.
    pub(crate) running: Running,
    /// What its connections to the jobs table are called.
    application: String,
}

impl Trial {
    /// Servers with a table of effects; no process yet.
    pub(crate) async fn open() -> Self {
        Self::open_on(Servers::start().await).await
    }

    /// The same on given servers.
    pub(crate) async fn open_on(servers: Servers) -> Self {
        let pool = servers.pool().await;
        effects::create_table(&pool).await.expect("the database was just made");
        Self { redis: servers.redis().await, pool, servers, started: AtomicU32::new(0) }
    }

    /// Starts a worker.
    pub(crate) fn worker(&self, settings: &[(&'static str, &str)]) -> Process {
        self.start(&["worker"], settings)
    }

    /// Starts a process of `psp-test-jobs`; of settings that are given twice the last one counts.
    pub(crate) fn start(&self, arguments: &[&str], settings: &[(&'static str, &str)]) -> Process {
        let application = format!("trial-{}", self.started.fetch_add(1, Ordering::Relaxed));
        let own = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let settings = self.settings(&application).into_iter().chain(own);
        Process { running: Running::start(Program::Trial, arguments, settings), application }
    }

    fn settings(&self, application: &str) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", format!("{}?application_name={application}", self.servers.database_url)),
            ("REDIS_URL", self.servers.redis_url.clone()),
            ("REDIS_NAMESPACE", self.servers.namespace.clone()),
            ("VIMA_BASE_URL", "http://127.0.0.1:1/vima".to_owned()),
            ("VIMA_API_KEY", "nobody-asks".to_owned()),
            ("PAYSHACK_EMAIL", "reseller@example.com".to_owned()),
            ("PAYSHACK_PASSWORD", "nobody-asks".to_owned()),
            ("JOB_RESCUE_SECONDS", "3".to_owned()),
            ("SHUTDOWN_GRACE_SECONDS", "10".to_owned()),
            ("LOG_LEVEL", "info,sqlx=warn".to_owned()),
        ]
    }

    /// Enqueues a job that joins no other.
    pub(crate) async fn enqueue(&self, kind: &'static JobKind, args: Value) -> JobId {
        let enqueued = enqueue_job(&self.pool, &self.redis, &kinds::job(kind, args)).await;
        enqueued.expect("the jobs table takes it").job_id
    }

    /// Enqueues many jobs alike: one as any job is, the others as copies of its row, for which no bell is rung.
    pub(crate) async fn enqueue_many(&self, count: usize, kind: &'static JobKind, args: Value) {
        let model = self.enqueue(kind, args).await;
        let ids: Vec<Uuid> = (1..count).map(|_| Uuid::now_v7()).collect();
        sqlx::query!(
            "INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at)
             SELECT copy.id, kind, args, queue, priority, 'queued', trigger, due_at, max_attempts, created_at
               FROM jobs, unnest($2::uuid[]) AS copy (id) WHERE jobs.id = $1",
            model.0,
            &ids
        )
        .execute(&self.pool)
        .await
        .expect("the jobs table takes them");
    }

    /// The only value of a query.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        number(&self.pool, query).await
    }

    /// How many jobs have come to their end.
    pub(crate) async fn finished(&self) -> i64 {
        self.number("SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL").await
    }

    /// Waits until no job is waiting or at work.
    pub(crate) async fn settle(&self) {
        self.wait_until_finished(self.number("SELECT count(*) FROM jobs").await).await;
    }

    /// What the jobs came to.
    #[expect(clippy::disallowed_methods, reason = "the table of effects is the tests' own")]
    pub(crate) async fn books(&self) -> IngestFixture {
        let books = "SELECT (SELECT count(*) FROM jobs),
                            (SELECT count(*) FROM jobs WHERE state = 'succeeded'),
                            (SELECT count(DISTINCT job_id) FROM trial_effects),
                            (SELECT count(*) - count(DISTINCT job_id) FROM trial_effects),
                            (SELECT count(*) - count(DISTINCT job_id) FROM job_attempts)";
        let (jobs, succeeded, with_effect, doubled, repeats) =
            sqlx::query_as(books).fetch_one(&self.pool).await.expect("the database answers");
        IngestFixture { jobs, succeeded, with_effect, doubled, repeats }
    }

    /// How attempts ended, for a person who wonders: `lost 12, succeeded 240`.
    #[expect(clippy::disallowed_methods, reason = "what a test asks is no part of the program")]
    pub(crate) async fn outcomes(&self) -> String {
        let outcomes = "SELECT COALESCE(string_agg(outcome || ' ' || count, ', ' ORDER BY outcome), 'none')
                          FROM (SELECT COALESCE(outcome, 'open') AS outcome, count(*) FROM job_attempts GROUP BY 1) AS ended";
        sqlx::query_scalar(outcomes).fetch_one(&self.pool).await.expect("the jobs table answers")
    }

    /// Waits until so many jobs have come to their end. It looks seldom, for it counts them, while they are measured.
    pub(crate) async fn wait_until_finished(&self, jobs: i64) {
        let (mut finished, mut since) = (self.finished().await, Instant::now());
        while finished < jobs {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.finished().await;
            if now > finished {
                (finished, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "waited {} s in vain for another job", PATIENCE.as_secs());
        }
    }

    /// When a job was claimed again after `killed`, once it was.
    pub(crate) async fn next_attempt(&self, job_id: JobId, killed: DateTime<Utc>) -> DateTime<Utc> {
        eventually("the job to run again", || async {
            let attempts = self.attempts(job_id).await;
            attempts.into_iter().map(|attempt| attempt.started_at).find(|started_at| *started_at > killed)
        })
        .await
    }

    /// The tries of a job, oldest first.
    pub(crate) async fn attempts(&self, job_id: JobId) -> Vec<Attempt> {
        sqlx::query_as!(
            Attempt,
            "SELECT worker, attempt AS number, started_at, outcome FROM job_attempts WHERE job_id = $1 ORDER BY epoch",
            job_id.0
        )
        .fetch_all(&self.pool)
        .await
        .expect("the jobs table answers")
    }

    /// The jobs that `worker` holds.
    pub(crate) async fn held_by(&self, worker: &str) -> Vec<JobId> {
        let held = sqlx::query_scalar!("SELECT job_id FROM job_leases WHERE worker = $1", worker);
        held.fetch_all(&self.pool).await.expect("the jobs table answers").into_iter().map(JobId).collect()
    }

    /// The jobs that `worker` was at when it was killed: those whose attempts it did not end, whoever took them over since.
    pub(crate) async fn left_by(&self, worker: &str, killed: DateTime<Utc>) -> Vec<JobId> {
        let left = sqlx::query_scalar!(
            r#"SELECT job_id FROM job_attempts
                WHERE worker = $1 AND (finished_at IS NULL OR (outcome = 'lost' AND finished_at > $2))"#,
            worker,
            killed
        );
        left.fetch_all(&self.pool).await.expect("the jobs table answers").into_iter().map(JobId).collect()
    }

    /// Whether the database knows no connection any more over which `process` claims and records outcomes.
    pub(crate) async fn is_gone(&self, process: &Process) -> bool {
        let open = sqlx::query_scalar!(
            r#"SELECT count(*) AS "open!" FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = $1"#,
            process.application
        );
        open.fetch_one(&self.pool).await.expect("the database answers") == 0
    }
}

/// What jobs that have one effect each came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IngestFixture {
    /// How many there are.
    pub(crate) jobs: i64,
    /// How many succeeded.
    pub(crate) succeeded: i64,
    /// How many had their effect.
    pub(crate) with_effect: i64,
    /// Effects beyond the first of a job.
    pub(crate) doubled: i64,
    /// Attempts beyond the first of a job.
    pub(crate) repeats: i64,
}

impl IngestFixture {
    /// Each job was done once, however often it was tried.
    pub(crate) fn assert_each_done_once(self) {
        assert_eq!(self, Self { succeeded: self.jobs, with_effect: self.jobs, doubled: 0, ..self });
    }
}

/// One try of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Whose.
    pub(crate) worker: String,
    /// Which one, from 1.
    pub(crate) number: i32,
    /// When it began, by the clock of the database.
    pub(crate) started_at: DateTime<Utc>,
    /// How it ended, if it has.
    pub(crate) outcome: Option<String>,
}

impl Process {
    /// The name under which it claims, once it is at work.
    pub(crate) async fn worker(&self) -> String {
        eventually("the worker to be at work", || async { self.said_name() }).await
    }

    fn said_name(&self) -> Option<String> {
        let said = self.running.said();
        let from = said.find("worker-")?;
        said.get(from..from + "worker-".len() + Uuid::nil().hyphenated().to_string().len()).map(str::to_owned)
    }
}
