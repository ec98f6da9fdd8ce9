//! A whole installation for one test: servers, sandbox, and whichever programs it needs.

use std::sync::Arc;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::programs::{Ended, Program, Running, free_port, run};
use super::sandbox::Sandbox;
use super::servers::{Servers, number};
use super::{eventually, http_client};

/// An admin's key of every system.
pub(crate) const ADMIN: &str = "admin-key-for-tests";
/// An operator's key of every system.
pub(crate) const OPERATOR: &str = "operator-key-for-tests";
/// A viewer's key of every system.
pub(crate) const VIEWER: &str = "viewer-key-for-tests";

/// A whole installation.
pub(crate) struct TestSystem {
    /// Its servers.
    pub(crate) servers: Arc<Servers>,
    /// Its providers.
    pub(crate) sandbox: Sandbox,
    /// Connections to its database.
    pub(crate) pool: PgPool,
}

impl TestSystem {
    /// Servers and a sandbox; no program yet.
    pub(crate) async fn set(sandbox: &[&str]) -> Self {
        Self::set_on(Servers::start().await, sandbox).await
    }

    /// The same on given servers.
    pub(crate) async fn set_on(servers: Servers, sandbox: &[&str]) -> Self {
        let pool = servers.pool().await;
        Self { sandbox: Sandbox::start(sandbox).await, pool, servers: Arc::new(servers) }
    }

    /// The settings of all programs.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.sandbox.settings();
        settings.extend([
            ("DATABASE_URL", self.servers.database_url.clone()),
            ("REDIS_URL", self.servers.redis_url.clone()),
            ("REDIS_NAMESPACE", self.servers.namespace.clone()),
            ("API_KEYS", format!("ada:admin:{ADMIN},otto:operator:{OPERATOR},vera:viewer:{VIEWER}")),
            ("INITIAL_SYNC_DAYS", "5".to_owned()),
            // As far back as the sandbox's history, so that what a test finds does not depend on the time of the day.
            ("PAYSHACK_OVERLAP_DAYS", "5".to_owned()),
            ("JOB_RESCUE_SECONDS", "3".to_owned()),
            ("SHUTDOWN_GRACE_SECONDS", "10".to_owned()),
            ("LOG_LEVEL", "info,sqlx=warn".to_owned()),
        ]);
        settings
    }

    /// Starts a process of `psp-jobs`.
    pub(crate) fn jobs(&self, arguments: &[&str]) -> Running {
        self.jobs_with(arguments, &[])
    }

    /// Starts a process of `psp-jobs` with settings of its own.
    pub(crate) fn jobs_with(&self, arguments: &[&str], settings: &[(&'static str, &str)]) -> Running {
        let more = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Running::start(Program::Jobs, arguments, self.settings().into_iter().chain(more))
    }

    /// Starts a web process and waits until it is ready.
    pub(crate) async fn web(&self) -> Web {
        self.web_with(&[]).await
    }

    /// Starts a web process with settings of its own and waits until it is ready.
    pub(crate) async fn web_with(&self, settings: &[(&'static str, &str)]) -> Web {
        let port = free_port();
        let listen = [("HOST", "127.0.0.1".to_owned()), ("PORT", port.to_string())];
        let more = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let settings = self.settings().into_iter().chain(listen).chain(more);
        let running = Running::start(Program::Psp, &["web"], settings);
        let web = Web { running, port, http: http_client() };
        eventually("the web process to be ready", || async {
            web.request(Method::GET, "/health/ready", None, None).await.ok().filter(|answer| answer.status == 200)
        })
        .await;
        web
    }

    /// Runs one job to its end by `psp-jobs enqueue --wait`; some worker must be running.
    pub(crate) fn enqueue(&self, kind: &str, args: Option<&str>) -> Ended {
        let mut arguments = vec!["enqueue", kind];
        arguments.extend(args);
        arguments.push("--wait");
        run(Program::Jobs, &arguments, self.settings())
    }

    /// Enqueues a job, and does not wait for it.
    pub(crate) fn ask_for(&self, kind: &str, args: Option<&str>) -> Uuid {
        let arguments: Vec<&str> = ["enqueue", kind].into_iter().chain(args).collect();
        let ended = run(Program::Jobs, &arguments, self.settings());
        assert!(ended.status.success(), "{ended:?}");
        ended.stdout.trim().parse().expect("the id of the job")
    }

    /// Where a job stands.
    pub(crate) async fn state_of(&self, job_id: Uuid) -> String {
        let state = sqlx::query_scalar!("SELECT state FROM jobs WHERE id = $1", job_id);
        state.fetch_one(&self.pool).await.expect("the job is in the jobs table")
    }

    /// Enqueues a job, and makes sure that it succeeds.
    pub(crate) fn succeed(&self, kind: &str, args: Option<&str>) {
        let ended = self.enqueue(kind, args);
        assert!(ended.status.success(), "{kind} failed: {ended:?}");
    }

    /// Enqueues a job again and again until it succeeds: a token that dies and whose successor is refused at once is an
    /// authentication error, which fails a job for good, and is up to the dice.
    pub(crate) fn insist(&self, kind: &str, args: Option<&str>) {
        for _ in 0..20 {
            let ended = self.enqueue(kind, args);
            if ended.status.success() {
                return;
            }
            assert!(ended.stderr.contains("right after a login"), "{kind} failed: {ended:?}");
        }
        panic!("{kind} never succeeded");
    }

    /// Syncs both sources to their ends, the days that their first runs owe included.
    pub(crate) async fn sync_both(&self) {
        for kind in ["sync-vima", "sync-payshack"] {
            self.succeed(kind, None);
        }
        self.settle().await;
    }

    /// The only value of a query.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        number(&self.pool, query).await
    }

    /// How many payments of a source are stored.
    pub(crate) async fn number_of(&self, source: &str) -> i64 {
        let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM transactions WHERE source = $1"#, source);
        count.fetch_one(&self.pool).await.expect("the payments can be counted")
    }

    /// Waits until no job is waiting or at work.
    pub(crate) async fn settle(&self) {
        eventually("every job to be finished", || async {
            let live = self.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await;
            (live == 0).then_some(())
        })
        .await;
        let failures = sqlx::query_scalar!("SELECT kind || ': ' || error FROM jobs WHERE state = 'failed'")
            .fetch_all(&self.pool)
            .await
            .expect("the jobs table can be read");
        assert!(failures.is_empty(), "{failures:?}");
    }
}

/// A web process and a client of it.
pub(crate) struct Web {
    /// The process.
    pub(crate) running: Running,
    /// The port it listens on.
    pub(crate) port: u16,
    http: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: reqwest::header::HeaderMap,
    /// The body.
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Web {
    /// The address of its WebSocket.
    pub(crate) fn socket(&self) -> String {
        format!("ws://127.0.0.1:{}/ws/updates", self.port)
    }

    /// A request, as it is.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&str>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.to(method, path);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        answer(request).await
    }

    /// A POST with headers of its own.
    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = self.to(Method::POST, path).body(body.to_owned());
        answer(with_headers(request, headers)).await.expect("the web process answers")
    }

    /// What a browser asks before it asks.
    pub(crate) async fn options(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        answer(with_headers(self.to(Method::OPTIONS, path), headers)).await.expect("the web process answers")
    }

    fn to(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://127.0.0.1:{}{path}", self.port))
    }

    /// What an admin is answered; it must be 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path, Some(ADMIN), None).await.expect("the web process answers");
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer.json()
    }
}

fn with_headers(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let answer = request.send().await?;
    Ok(Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), text: answer.text().await? })
}
