//! A sandbox served on a free port, and a client of it.

use std::sync::Arc;

use clap::Parser;
use psp_sandbox::{Config, Sandbox, serve};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Parser)]
#[command(args_override_self = true)]
struct Line {
    #[command(flatten)]
    config: Config,
}

/// Small enough for a debug build, big enough for several pages.
const BASE: [&str; 7] = ["psp-sandbox", "--now", "2026-01-15T10:00:00Z", "--history-days", "3", "--per-day", "150"];

pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) client: Client,
}

impl Running {
    pub(crate) async fn with(options: &[&str]) -> Self {
        let config = Line::parse_from(BASE.iter().chain(options)).config;
        let sandbox = Arc::new(Sandbox::new(config).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(sandbox, listener));
        #[expect(clippy::disallowed_methods, reason = "a test's own client, which wants neither pace nor retries")]
        let client = Client::new();
        Self { url, client }
    }

    pub(crate) async fn vima(&self, query: &str) -> Response {
        let url = format!("{}/vima/operation?apikey=sandbox-vima-key&{query}", self.url);
        self.client.get(url).send().await.unwrap()
    }

    pub(crate) async fn operations(&self, query: &str) -> Vec<Value> {
        self.vima(query).await.json().await.unwrap()
    }

    pub(crate) async fn login(&self) -> (String, String) {
        let answer = self.login_with("sandbox-password").await.json::<Value>().await.unwrap();
        let field = |name: &str| answer["data"][name].as_str().unwrap().to_owned();
        (field("token"), field("clientId"))
    }

    pub(crate) async fn login_with(&self, password: &str) -> Response {
        let url = format!("{}/payshack/indigate-user-svc/api/v1/auth/login", self.url);
        let credentials = json!({"email": "reseller@example.com", "password": password});
        self.client.post(url).json(&credentials).send().await.unwrap()
    }

    pub(crate) async fn payshack(&self, session: &(String, String), path_and_query: &str) -> Response {
        let url = format!("{}/payshack/{path_and_query}", self.url);
        let request = self.client.get(url).bearer_auth(&session.0).header("reseller-id", &session.1);
        request.send().await.unwrap()
    }

    pub(crate) async fn control(&self, path: &str) -> Value {
        self.client.get(format!("{}/sandbox/{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.put(format!("{}/sandbox/{path}", self.url)).json(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.post(format!("{}/sandbox/{path}", self.url)).json(body).send().await.unwrap();
        assert!(answer.status().is_success());
        answer.json().await.unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.patch(format!("{}/sandbox/{path}", self.url)).json(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }
}

pub(crate) const PAYINS: &str = "indigate-payin-svc/api/v1/payin/transaction/fetch";
pub(crate) const PAYOUTS: &str = "indigate-payout-svc/api/v1/wallet/transactions";
