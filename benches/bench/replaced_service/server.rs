//! The replaced service as processes (uvicorn with a worker per core), and a client of either service.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use crate::harness::programs::{Memory, free_port, memory_mib_of};
use crate::harness::test_system::OPERATOR;
use crate::harness::{eventually, http_client};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/fastapi");
const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/peers-fastapi");
/// The exit code of [`INSTALL`] if the system has no Python for it.
const NO_PYTHON: i32 = 77;
/// Longer than any request takes, so that slow ones are measured and not cut off.
const TIMEOUT: Duration = Duration::from_hours(1);

/// Installs what the replaced service runs on, and returns its Python; `None` if this system has no Python.
pub(super) fn install() -> Option<PathBuf> {
    let output = Command::new(INSTALL).stderr(Stdio::inherit()).output().expect("the script starts");
    if output.status.code() == Some(NO_PYTHON) {
        return None;
    }
    assert!(output.status.success(), "scripts/peers-fastapi failed: {}", output.status);
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The running service.
pub(super) struct FastApi {
    child: Child,
    pub(super) client: Client,
}

impl FastApi {
    /// Starts it, and waits until it is ready.
    pub(super) async fn start(python: &Path, database_url: &str) -> Self {
        let port = free_port();
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut command = run(python, database_url);
        command.args(["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--workers", &workers.to_string(), "--log-level", "warning", "--no-access-log"]);
        let child = command.args(["--timeout-graceful-shutdown", "1"]).spawn().expect("Python starts");
        let service = Self { child, client: Client::new(port) };
        eventually("the replaced service to be ready", || async {
            let request = service.client.http.get(service.client.url("/health/ready"));
            request.send().await.ok().filter(|response| response.status() == 200)
        })
        .await;
        service
    }

    /// The most memory that each of its processes ever used, added up.
    pub(super) fn peak_memory_mib(&self) -> f64 {
        let mut processes = vec![self.child.id()];
        let mut next = 0;
        while let Some(process) = processes.get(next) {
            let children = format!("/proc/{process}/task/{process}/children");
            let children = std::fs::read_to_string(children).expect("this is Linux");
            processes.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            next += 1;
        }
        processes.into_iter().map(|process| memory_mib_of(process, Memory::Peak)).sum()
    }
}

impl Drop for FastApi {
    /// A signal that uvicorn can handle, since it would leave its workers behind if it were killed.
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        let _signalled = kill(pid, Signal::SIGTERM);
        let _exited = self.child.wait();
    }
}

/// Creates the tables that belong to the replaced service alone.
pub(super) fn create_tables(python: &Path, database_url: &str) {
    let status = run(python, database_url).arg("models.py").status().expect("Python starts");
    assert!(status.success(), "the tables of the replaced service were not created");
}

fn run(python: &Path, database_url: &str) -> Command {
    let (_, server) = database_url.split_once("://").expect("a URL");
    let mut command = Command::new(python);
    command.current_dir(FOLDER).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command.env("DATABASE_URL", format!("postgresql+asyncpg://{server}"));
    command.env("API_KEY", OPERATOR).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A client of either service. Responses are not compressed, so that both send the same.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    port: u16,
}

impl Client {
    pub(super) fn new(port: u16) -> Self {
        Self { http: http_client(), port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Requests a resource, and returns the response without reading its body.
    pub(super) async fn open(&self, path: &str) -> Response {
        send(self.http.get(self.url(path))).await
    }

    /// Requests a resource, and reads its whole body.
    pub(super) async fn read(&self, path: &str) -> String {
        self.open(path).await.text().await.expect("the whole response")
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path).await).expect("JSON")
    }

    pub(super) async fn post(&self, path: &str, body: &Value) {
        let request = self.http.post(self.url(path)).header("content-type", "application/json");
        send(request.body(body.to_string())).await;
    }
}

async fn send(request: RequestBuilder) -> Response {
    let request = request.header("x-api-key", OPERATOR).header("accept-encoding", "identity").timeout(TIMEOUT);
    let response = request.send().await.expect("the service responds");
    assert!(response.status().is_success(), "{}: {}", response.url().clone(), response.status());
    response
}
