//! A whole installation for one test: servers, sandbox, and the programs that the test starts.

use std::sync::Arc;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::declared::assert_declared;
use super::programs::{Output, Program, RunningProgram, free_port, run};
use super::sandbox::Sandbox;
use super::servers::{Servers, number};
use super::{eventually, http_client};

/// The key of `ada`.
pub(crate) const ADMIN: &str = "admin-key-for-tests";
/// The key of `otto`.
pub(crate) const OPERATOR: &str = "operator-key-for-tests";
/// The key of `vera`.
pub(crate) const VIEWER: &str = "viewer-key-for-tests";
/// It encrypts the secrets of webhooks.
pub(crate) const WEBHOOK_KEY: &str = "7e57a9c1d2e3f405162738495a6b7c8d9eafb0c1d2e3f405162738495a6b7c8d";

/// The settings for which 0 means no limit.
const LIMITS: [&str; 10] = [
    "RATE_LIMIT_PER_KEY",
    "RATE_LIMIT_PER_ADDRESS",
    "FAILED_SIGN_INS_PER_ADDRESS",
    "EXPENSIVE_QUERIES_PER_KEY",
    "DOWNLOADS_PER_KEY",
    "WEBSOCKETS_PER_KEY",
    "EXPORTS_PER_KEY",
    "EXPORTS_TOTAL",
    "EXPORT_BYTES_PER_KEY",
    "EXPORT_BYTES_TOTAL",
];

pub(crate) struct TestSystem {
    pub(crate) servers: Arc<Servers>,
    pub(crate) sandbox: Sandbox,
    pub(crate) pool: PgPool,
}

impl TestSystem {
    /// Starts servers and a sandbox with these arguments.
    pub(crate) async fn start(sandbox: &[&str]) -> Self {
        Self::start_on(Servers::start().await, sandbox).await
    }

    pub(crate) async fn start_on(servers: Servers, sandbox: &[&str]) -> Self {
        Self::start_beside(Arc::new(servers), sandbox).await
    }

    /// With the database and the namespace of another system.
    pub(crate) async fn start_beside(servers: Arc<Servers>, sandbox: &[&str]) -> Self {
        let pool = servers.pool().await;
        Self { sandbox: Sandbox::start(sandbox).await, pool, servers }
    }

    /// The settings of all programs, for commands of the owner.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.sandbox.settings();
        settings.extend([
            ("DATABASE_URL", self.servers.database_url.clone()),
            ("REDIS_URL", self.servers.redis_url.clone()),
            ("REDIS_NAMESPACE", self.servers.namespace.clone()),
            ("API_KEYS", format!("ada:admin:{ADMIN},otto:operator:{OPERATOR},vera:viewer:{VIEWER}")),
            ("INITIAL_SYNC_DAYS", "5".to_owned()),
            // Longer than the sandbox's history, so that the records found do not depend on the time of day.
            ("PAYSHACK_OVERLAP_DAYS", "5".to_owned()),
            ("JOB_RESCUE_SECONDS", "3".to_owned()),
            ("SHUTDOWN_GRACE_SECONDS", "10".to_owned()),
            ("LOG_LEVEL", "info,sqlx=warn".to_owned()),
            ("WEBHOOK_ENCRYPTION_KEY", WEBHOOK_KEY.to_owned()),
            ("ALLOW_LOOPBACK_WEBHOOKS", "true".to_owned()),
        ]);
        // A test sends more requests than a user. Those of the limits set them.
        settings.extend(LIMITS.map(|name| (name, "0".to_owned())));
        settings
    }

    /// The settings of `psp-jobs`.
    pub(crate) fn jobs_settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.settings();
        settings.push(("DATABASE_URL", self.servers.worker_url()));
        settings
    }

    /// Starts `psp-jobs`.
    pub(crate) fn start_jobs(&self, arguments: &[&str]) -> RunningProgram {
        self.start_jobs_with(arguments, &[])
    }

    /// Starts `psp-jobs` with the settings of this system, which `settings` override.
    pub(crate) fn start_jobs_with(&self, arguments: &[&str], settings: &[(&'static str, &str)]) -> RunningProgram {
        let overrides = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        RunningProgram::start(Program::Jobs, arguments, self.jobs_settings().into_iter().chain(overrides))
    }

    /// Starts `psp web` and waits until it is ready.
    pub(crate) async fn start_web(&self) -> Web {
        self.start_web_with(&[]).await
    }

    pub(crate) async fn start_web_with(&self, settings: &[(&'static str, &str)]) -> Web {
        let web = self.spawn_web(settings);
        web.wait_until_ready().await;
        web
    }

    /// Starts `psp web` without waiting until it is ready.
    pub(crate) fn spawn_web(&self, settings: &[(&'static str, &str)]) -> Web {
        let port = free_port();
        let listen =
            [("DATABASE_URL", self.servers.web_url()), ("HOST", "127.0.0.1".to_owned()), ("PORT", port.to_string())];
        let overrides = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let settings = self.settings().into_iter().chain(listen).chain(overrides);
        Web::at(RunningProgram::start(Program::Psp, &["web"], settings), port)
    }

    /// Runs a job until it finishes (`psp-jobs enqueue --wait`), and asserts that it succeeded. A worker must be running.
    pub(crate) fn run_job(&self, kind: &str, args: Option<&str>) {
        let output = self.try_run_job(kind, args);
        assert!(output.status.success(), "{kind} failed: {output:?}");
    }

    pub(crate) fn try_run_job(&self, kind: &str, args: Option<&str>) -> Output {
        let mut arguments = vec!["enqueue", kind];
        arguments.extend(args);
        arguments.push("--wait");
        run(Program::Jobs, &arguments, self.jobs_settings())
    }

    /// Repeats a job until it succeeds. For random 401 responses: a token that is refused right after a login is an
    /// authentication error, which fails a job without retry.
    pub(crate) fn run_job_until_it_succeeds(&self, kind: &str, args: Option<&str>) {
        for _ in 0..20 {
            let output = self.try_run_job(kind, args);
            if output.status.success() {
                return;
            }
            assert!(output.stderr.contains("right after a login"), "{kind} failed: {output:?}");
        }
        panic!("{kind} never succeeded");
    }

    /// Enqueues a job without waiting for it.
    pub(crate) fn enqueue(&self, kind: &str, args: Option<&str>) -> Uuid {
        let arguments: Vec<&str> = ["enqueue", kind].into_iter().chain(args).collect();
        let output = run(Program::Jobs, &arguments, self.jobs_settings());
        assert!(output.status.success(), "{output:?}");
        output.stdout.trim().parse().expect("the id of the job")
    }

    pub(crate) async fn job_state(&self, job_id: Uuid) -> String {
        let state = sqlx::query_scalar!("SELECT state FROM jobs WHERE id = $1", job_id);
        state.fetch_one(&self.pool).await.expect("the job exists")
    }

    /// Syncs both sources, including the historical days that a first run enqueues.
    pub(crate) async fn sync_both(&self) {
        for kind in ["sync-vima", "sync-payshack"] {
            self.run_job(kind, None);
        }
        self.wait_until_idle().await;
    }

    /// The result of a query that returns one number.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        number(&self.pool, query).await
    }

    /// How many payments of a source are stored.
    pub(crate) async fn count_transactions(&self, source: &str) -> i64 {
        let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM transactions WHERE source = $1"#, source);
        count.fetch_one(&self.pool).await.expect("the database responds")
    }

    /// Asserts that no job needed a second attempt, and that no worker lost the lease of a job.
    pub(crate) async fn assert_no_attempt_was_used_up(&self) {
        let used_up = sqlx::query_scalar!(
            r#"SELECT kind || ' ' || outcome || ': ' || COALESCE(job_attempts.error, '') AS "attempt!"
                 FROM job_attempts JOIN jobs ON jobs.id = job_id
                WHERE outcome IN ('retried', 'failed', 'lost')"#
        );
        let used_up = used_up.fetch_all(&self.pool).await.expect("the jobs table responds");
        assert!(used_up.is_empty(), "{used_up:#?}");
        assert_eq!(self.number("SELECT max(attempt)::bigint FROM jobs").await, 1);
    }

    /// Waits until both sources have been synced once. A scheduler must be running.
    pub(crate) async fn wait_until_first_sync(&self) {
        eventually("both sources to be synced", || async {
            let synced = self.number("SELECT count(DISTINCT source) FROM sync_runs WHERE status = 'succeeded'").await;
            (synced == 2).then_some(())
        })
        .await;
    }

    /// Waits until every job is finished, and asserts that none failed.
    pub(crate) async fn wait_until_idle(&self) {
        eventually("every job to be finished", || async {
            let unfinished = self.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await;
            (unfinished == 0).then_some(())
        })
        .await;
        let failures = sqlx::query_scalar!("SELECT kind || ': ' || error FROM jobs WHERE state = 'failed'")
            .fetch_all(&self.pool)
            .await
            .expect("the jobs table responds");
        assert!(failures.is_empty(), "{failures:?}");
    }
}

/// A web process and a client of it.
pub(crate) struct Web {
    pub(crate) program: RunningProgram,
    pub(crate) port: u16,
    http: reqwest::Client,
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl ApiResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }
}

/// The text of a header; empty if it is absent.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("a textual header"))
}

impl Web {
    /// The web process that `program` is, or runs.
    pub(crate) fn at(program: RunningProgram, port: u16) -> Self {
        Self { program, port, http: http_client() }
    }

    pub(crate) async fn wait_until_ready(&self) {
        eventually("the web process to be ready", || async {
            self.request(Method::GET, "/health/ready", None, None).await.ok().filter(|response| response.status == 200)
        })
        .await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The URL of its WebSocket.
    pub(crate) fn socket(&self) -> String {
        format!("ws://127.0.0.1:{}/ws/updates", self.port)
    }

    /// Sends a request with an API key and a JSON body, if there are any.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&str>,
    ) -> Result<ApiResponse, reqwest::Error> {
        let mut request = self.http.request(method, self.url(path));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        read_response(request).await
    }

    /// Requests a file, and returns the response without reading its body.
    pub(crate) async fn download(&self, key: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.http.get(self.url(path)).header("x-api-key", key);
        with_headers(request, headers).send().await.expect("the web process responds")
    }

    /// Sends a POST request with exactly these headers.
    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> ApiResponse {
        let request = self.http.request(Method::POST, self.url(path)).body(body.to_owned());
        read_response(with_headers(request, headers)).await.expect("the web process responds")
    }

    /// Sends a request with exactly these headers and without a body.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> ApiResponse {
        let request = self.http.request(method, self.url(path));
        read_response(with_headers(request, headers)).await.expect("the web process responds")
    }

    /// Sends a request with these headers, a key and a JSON body.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> ApiResponse {
        let request = self.http.request(method, self.url(path)).header("x-api-key", key);
        let request = request.header("content-type", "application/json").body(body.to_string());
        read_response(with_headers(request, headers)).await.expect("the web process responds")
    }

    /// Sends a CORS preflight request with exactly these headers.
    pub(crate) async fn options(&self, path: &str, headers: &[(&str, &str)]) -> ApiResponse {
        let request = self.http.request(Method::OPTIONS, self.url(path));
        read_response(with_headers(request, headers)).await.expect("the web process responds")
    }

    /// Reads JSON as an admin, and asserts that the status is 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path, Some(ADMIN), None).await.expect("the web process responds");
        assert_eq!(response.status, StatusCode::OK, "{path}: {response:?}");
        response.json()
    }

    /// Reads every page of a listing by following its cursors. `path` includes a query.
    pub(crate) async fn pages(&self, key: &str, path: &str) -> Vec<Value> {
        let (mut pages, mut next) = (vec![], path.to_owned());
        loop {
            let response = self.request(Method::GET, &next, Some(key), None).await.expect("the web process responds");
            assert_eq!(response.status, StatusCode::OK, "{next}: {response:?}");
            pages.push(response.json());
            let Some(cursor) = pages[pages.len() - 1]["next_cursor"].as_str() else { return pages };
            next = format!("{path}&cursor={cursor}");
        }
    }
}

/// The items of a page.
pub(crate) fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap_or_else(|| panic!("a page has items: {page}"))
}

fn with_headers(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn read_response(request: RequestBuilder) -> Result<ApiResponse, reqwest::Error> {
    let (client, request) = request.build_split();
    let request = request?;
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    assert_declared(&method, &path, status);
    // The stream of events never ends.
    let text =
        if header(&headers, "content-type") == "text/event-stream" { String::new() } else { response.text().await? };
    Ok(ApiResponse { status, headers, text })
}
