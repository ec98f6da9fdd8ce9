//! The providers' sandbox, as a program with a control API.

use reqwest::Method;
use serde_json::Value;

use super::programs::{Program, Running};
use super::{eventually, http_client};

/// A running sandbox.
pub(crate) struct Sandbox {
    _running: Running,
    /// Its address.
    pub(crate) address: String,
    http: reqwest::Client,
}

impl Sandbox {
    /// Starts one on a free port, that stands still unless `arguments` say otherwise.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let usual = [["--seed", "7"], ["--history-days", "3"], ["--per-day", "120"], ["--live-per-second", "0"]];
        let unsaid = usual.iter().filter(|[name, _]| !arguments.contains(name)).flatten();
        let all: Vec<&str> = ["--port", "0"].iter().chain(unsaid).chain(arguments).copied().collect();
        let running = Running::start(Program::Sandbox, &all, []);
        let address = eventually("the sandbox to listen", || {
            let said = running.said();
            let address = said
                .lines()
                .find_map(|line| line.strip_prefix("psp-sandbox listening on "))
                .map(|address| address.trim().to_owned());
            async move { address }
        })
        .await;
        Self { _running: running, address, http: http_client() }
    }

    /// The settings of a program that asks it, without any pace.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("VIMA_BASE_URL", format!("{}/vima", self.address)),
            ("VIMA_API_KEY", "sandbox-vima-key".to_owned()),
            ("VIMA_REQUESTS_PER_SECOND", "0".to_owned()),
            ("PAYSHACK_API_URL", format!("{}/payshack", self.address)),
            ("PAYSHACK_EMAIL", "reseller@example.com".to_owned()),
            ("PAYSHACK_PASSWORD", "sandbox-password".to_owned()),
            ("PAYSHACK_REQUEST_INTERVAL_MS", "0".to_owned()),
        ]
    }

    /// Where its feed of exchange rates is.
    pub(crate) fn feed(&self) -> String {
        format!("{}/fx/latest", self.address)
    }

    /// Lets the feed answer with this, to the letter.
    pub(crate) async fn set_feed(&self, status: u16, answer: &str) {
        let url = format!("{}/sandbox/fx?status={status}", self.address);
        let told = self.http.put(url).body(answer.to_owned()).send().await.expect("the sandbox answers");
        assert!(told.status().is_success(), "{told:?}");
    }

    /// What its control API answers.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await
    }

    /// Tells it something through its control API.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}/sandbox/{path}", self.address));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("the sandbox answers");
        let status = answer.status();
        let text = answer.text().await.expect("an answer in full");
        assert!(status.is_success(), "{path}: {status} {text}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) }
    }
}
