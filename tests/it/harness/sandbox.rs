//! The providers' sandbox as a process, and a client of its control API.

use reqwest::Method;
use serde_json::{Value, json};

use super::programs::{Program, RunningProgram};
use super::{eventually, http_client};

pub(crate) struct Sandbox {
    _program: RunningProgram,
    pub(crate) url: String,
    http: reqwest::Client,
}

impl Sandbox {
    /// Starts one on a free port. Unless `arguments` say otherwise, its history is three days and nothing changes by
    /// itself.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let defaults = [["--seed", "7"], ["--history-days", "3"], ["--per-day", "120"], ["--live-per-second", "0"]];
        let defaults = defaults.iter().filter(|[name, _]| !arguments.contains(name)).flatten();
        let arguments: Vec<&str> = ["--port", "0"].iter().chain(defaults).chain(arguments).copied().collect();
        let program = RunningProgram::start(Program::Sandbox, &arguments, []);
        let url = eventually("the sandbox to listen", || {
            let output = program.output();
            let url = output.lines().find_map(|line| line.strip_prefix("psp-sandbox listening on "));
            let url = url.map(|url| url.trim().to_owned());
            async move { url }
        })
        .await;
        Self { _program: program, url, http: http_client() }
    }

    /// The provider settings of a program that uses it, without rate limits.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("VIMA_BASE_URL", format!("{}/vima", self.url)),
            ("VIMA_API_KEY", "sandbox-vima-key".to_owned()),
            ("VIMA_REQUESTS_PER_SECOND", "0".to_owned()),
            ("PAYSHACK_API_URL", format!("{}/payshack", self.url)),
            ("PAYSHACK_EMAIL", "reseller@example.com".to_owned()),
            ("PAYSHACK_PASSWORD", "sandbox-password".to_owned()),
            ("PAYSHACK_REQUEST_INTERVAL_MS", "0".to_owned()),
        ]
    }

    /// The URL of its exchange rates.
    pub(crate) fn fx_url(&self) -> String {
        format!("{}/fx/latest", self.url)
    }

    /// Sets the exact response of its exchange rates.
    pub(crate) async fn set_fx_response(&self, status: u16, body: &str) {
        let url = format!("{}/sandbox/fx?status={status}", self.url);
        let response = self.http.put(url).body(body.to_owned()).send().await.expect("the sandbox responds");
        assert!(response.status().is_success(), "{response:?}");
    }

    /// Sets fault rates and delays, and keeps the others as they are.
    pub(crate) async fn set_faults(&self, faults: Value) {
        self.send(Method::PUT, "faults", Some(faults)).await;
    }

    /// Sets fault rates and delays, and removes all others.
    pub(crate) async fn replace_faults(&self, faults: Value) {
        self.send(Method::PUT, "faults?reset=true", Some(faults)).await;
    }

    pub(crate) async fn set_switches(&self, switches: Value) {
        self.send(Method::PUT, "switches", Some(switches)).await;
    }

    /// Adds exact responses in place of the providers' own; see `sandbox/README.md`.
    pub(crate) async fn script(&self, responses: Value) {
        self.send(Method::POST, "responses", Some(responses)).await;
    }

    /// Removes the scripted responses that are left.
    pub(crate) async fn clear_script(&self) {
        self.send(Method::DELETE, "responses", None).await;
    }

    /// Creates payments at both providers and changes existing ones.
    pub(crate) async fn create_and_change(&self, create: u32, change: u32) {
        self.send(Method::POST, "live", Some(json!({"create": create, "change": change}))).await;
    }

    /// The last requests that it received, each with `path`, `query` and `fault`, up to `limit`.
    pub(crate) async fn last_requests(&self, limit: u32) -> Vec<Value> {
        let requests = self.get(&format!("requests?last={limit}")).await;
        requests["recent"].as_array().expect("a list of requests").clone()
    }

    pub(crate) async fn clear_requests(&self) {
        self.send(Method::DELETE, "requests", None).await;
    }

    /// Reads from the control API.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await
    }

    /// Sends a request to the control API.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}/sandbox/{path}", self.url));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.expect("the sandbox responds");
        let status = response.status();
        let text = response.text().await.expect("a complete response");
        assert!(status.is_success(), "{path}: {status} {text}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) }
    }
}
