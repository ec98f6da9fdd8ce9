//! The job queue without providers: servers, and processes of `psp-test-jobs`.

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

use super::programs::{Program, RunningProgram};
use super::servers::{Servers, number};
use super::{TIMEOUT, eventually};

/// Servers with the table of effects, and the means to start processes on them.
pub(crate) struct TestQueue {
    pub(crate) servers: Servers,
    pub(crate) pool: PgPool,
    pub(crate) redis: Redis,
    processes: AtomicU32,
}

/// A process of `psp-test-jobs` whose connections can be recognized in the database.
pub(crate) struct Process {
    pub(crate) program: RunningProgram,
    /// The `application_name` of its connections to the jobs table.
    application: String,
}

impl TestQueue {
    pub(crate) async fn start() -> Self {
        Self::start_on(Servers::start().await).await
    }

    pub(crate) async fn start_on(servers: Servers) -> Self {
        let pool = servers.pool().await;
        effects::create_table(&pool).await.expect("the database has just been created");
        Self { redis: servers.redis().await, pool, servers, processes: AtomicU32::new(0) }
    }

    pub(crate) fn start_worker(&self, settings: &[(&'static str, &str)]) -> Process {
        self.start_process(&["worker"], settings)
    }

    /// Starts `psp-test-jobs` with the settings of this queue, which `settings` override.
    pub(crate) fn start_process(&self, arguments: &[&str], settings: &[(&'static str, &str)]) -> Process {
        let application = format!("test-{}", self.processes.fetch_add(1, Ordering::Relaxed));
        let overrides = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let settings = self.settings(&application).into_iter().chain(overrides);
        Process { program: RunningProgram::start(Program::TestJobs, arguments, settings), application }
    }

    fn settings(&self, application: &str) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", format!("{}?application_name={application}", self.servers.worker_url())),
            ("REDIS_URL", self.servers.redis_url.clone()),
            ("REDIS_NAMESPACE", self.servers.namespace.clone()),
            ("VIMA_BASE_URL", "http://127.0.0.1:1/vima".to_owned()),
            ("VIMA_API_KEY", "unused".to_owned()),
            ("PAYSHACK_EMAIL", "reseller@example.com".to_owned()),
            ("PAYSHACK_PASSWORD", "unused".to_owned()),
            ("JOB_RESCUE_SECONDS", "3".to_owned()),
            ("SHUTDOWN_GRACE_SECONDS", "10".to_owned()),
            ("LOG_LEVEL", "info,sqlx=warn".to_owned()),
        ]
    }

    /// Enqueues a job that never joins another.
    pub(crate) async fn enqueue(&self, kind: &'static JobKind, args: Value) -> JobId {
        let enqueued = enqueue_job(&self.pool, &self.redis, &kinds::job(kind, args)).await;
        enqueued.expect("the job is enqueued").job_id
    }

    /// Enqueues many jobs with the same arguments: the first normally, the others as copies of its row, without wake-ups.
    pub(crate) async fn enqueue_many(&self, count: usize, kind: &'static JobKind, args: Value) {
        let first = self.enqueue(kind, args).await;
        let ids: Vec<Uuid> = (1..count).map(|_| Uuid::now_v7()).collect();
        sqlx::query!(
            "INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at)
             SELECT copy.id, kind, args, queue, priority, 'queued', trigger, due_at, max_attempts, created_at
               FROM jobs, unnest($2::uuid[]) AS copy (id) WHERE jobs.id = $1",
            first.0,
            &ids
        )
        .execute(&self.pool)
        .await
        .expect("the jobs are inserted");
    }

    /// The result of a query that returns one number.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        number(&self.pool, query).await
    }

    /// How many jobs have finished.
    pub(crate) async fn finished(&self) -> i64 {
        self.number("SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL").await
    }

    /// Waits until every job is finished.
    pub(crate) async fn wait_until_idle(&self) {
        self.wait_until_finished(self.number("SELECT count(*) FROM jobs").await).await;
    }

    #[expect(clippy::disallowed_methods, reason = "the table of effects has no migration")]
    pub(crate) async fn totals(&self) -> JobTotals {
        let totals = "SELECT (SELECT count(*) FROM jobs),
                             (SELECT count(*) FROM jobs WHERE state = 'succeeded'),
                             (SELECT count(DISTINCT job_id) FROM test_effects),
                             (SELECT count(*) - count(DISTINCT job_id) FROM test_effects),
                             (SELECT count(*) - count(DISTINCT job_id) FROM job_attempts)";
        let (jobs, succeeded, with_effect, duplicate_effects, repeated_attempts) =
            sqlx::query_as(totals).fetch_one(&self.pool).await.expect("the database responds");
        JobTotals { jobs, succeeded, with_effect, duplicate_effects, repeated_attempts }
    }

    /// The number of attempts by outcome, for failure messages: `lost 12, succeeded 240`.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test query is not part of the program, so it is not checked against the schema"
    )]
    pub(crate) async fn outcomes(&self) -> String {
        let outcomes = "SELECT COALESCE(string_agg(outcome || ' ' || count, ', ' ORDER BY outcome), 'none')
                          FROM (SELECT COALESCE(outcome, 'open') AS outcome, count(*) FROM job_attempts GROUP BY 1) AS ended";
        sqlx::query_scalar(outcomes).fetch_one(&self.pool).await.expect("the jobs table responds")
    }

    /// Waits until this many jobs are finished. Benchmarks call it while they measure, so it counts them only five times
    /// per second.
    ///
    /// # Panics
    /// If no job finishes for [`TIMEOUT`].
    pub(crate) async fn wait_until_finished(&self, jobs: i64) {
        let (mut finished, mut since) = (self.finished().await, Instant::now());
        while finished < jobs {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.finished().await;
            if now > finished {
                (finished, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < TIMEOUT, "no job has finished for {} s", TIMEOUT.as_secs());
        }
    }

    /// Waits for the first attempt of a job that started after `killed`, and returns when it started.
    pub(crate) async fn next_attempt(&self, job_id: JobId, killed: DateTime<Utc>) -> DateTime<Utc> {
        eventually("the job to run again", || async {
            let attempts = self.attempts(job_id).await;
            attempts.into_iter().map(|attempt| attempt.started_at).find(|started_at| *started_at > killed)
        })
        .await
    }

    /// The attempts of a job, oldest first.
    pub(crate) async fn attempts(&self, job_id: JobId) -> Vec<Attempt> {
        sqlx::query_as!(
            Attempt,
            "SELECT worker, attempt AS number, started_at, outcome FROM job_attempts WHERE job_id = $1 ORDER BY epoch",
            job_id.0
        )
        .fetch_all(&self.pool)
        .await
        .expect("the jobs table responds")
    }

    /// The jobs that a worker has leased.
    pub(crate) async fn leased_to(&self, worker: &str) -> Vec<JobId> {
        let leased = sqlx::query_scalar!("SELECT job_id FROM job_leases WHERE worker = $1", worker);
        leased.fetch_all(&self.pool).await.expect("the jobs table responds").into_iter().map(JobId).collect()
    }

    /// The jobs whose attempts a killed worker did not finish, even if another worker has claimed them since.
    pub(crate) async fn unfinished_by(&self, worker: &str, killed: DateTime<Utc>) -> Vec<JobId> {
        let unfinished = sqlx::query_scalar!(
            r#"SELECT job_id FROM job_attempts
                WHERE worker = $1 AND (finished_at IS NULL OR (outcome = 'lost' AND finished_at > $2))"#,
            worker,
            killed
        );
        unfinished.fetch_all(&self.pool).await.expect("the jobs table responds").into_iter().map(JobId).collect()
    }

    /// Whether the database has closed all connections over which `process` claimed jobs and recorded outcomes.
    pub(crate) async fn is_disconnected(&self, process: &Process) -> bool {
        let open = sqlx::query_scalar!(
            r#"SELECT count(*) AS "open!" FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = $1"#,
            process.application
        );
        open.fetch_one(&self.pool).await.expect("the database responds") == 0
    }
}

/// Totals of jobs that have one effect each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobTotals {
    pub(crate) jobs: i64,
    pub(crate) succeeded: i64,
    pub(crate) with_effect: i64,
    /// Effects beyond the first of each job.
    pub(crate) duplicate_effects: i64,
    /// Attempts beyond the first of each job.
    pub(crate) repeated_attempts: i64,
}

impl JobTotals {
    /// Asserts that every job succeeded and had its effect once, regardless of the number of attempts.
    pub(crate) fn assert_each_succeeded_once(self) {
        assert_eq!(self, Self { succeeded: self.jobs, with_effect: self.jobs, duplicate_effects: 0, ..self });
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) worker: String,
    /// From 1.
    pub(crate) number: i32,
    /// By the clock of the database.
    pub(crate) started_at: DateTime<Utc>,
    /// `None` until it ends.
    pub(crate) outcome: Option<String>,
}

impl Process {
    /// The name under which it claims jobs.
    pub(crate) async fn worker_name(&self) -> String {
        self.program.worker_name().await
    }
}
