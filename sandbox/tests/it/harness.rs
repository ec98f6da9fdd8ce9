//! A sandbox on a free port, with an HTTP client.

use std::sync::Arc;

use clap::Parser;
use psp_sandbox::{Config, Sandbox, serve};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// Few enough payments for a debug build, enough for several pages.
const BASE: [&str; 7] = ["psp-sandbox", "--now", "2026-01-15T10:00:00Z", "--history-days", "3", "--per-day", "150"];

pub(crate) struct TestSandbox {
    pub(crate) url: String,
    pub(crate) client: Client,
}

impl TestSandbox {
    pub(crate) async fn with(options: &[&str]) -> Self {
        let config = Cli::parse_from(BASE.iter().chain(options)).config;
        let sandbox = Arc::new(Sandbox::new(config).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(sandbox, listener));
        #[expect(clippy::disallowed_methods, reason = "test client without rate limit and retries")]
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
        let response = self.login_with("sandbox-password").await.json::<Value>().await.unwrap();
        let field = |name: &str| response["data"][name].as_str().unwrap().to_owned();
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
        let response = self.client.put(format!("{}/sandbox/{path}", self.url)).json(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let response = self.client.post(format!("{}/sandbox/{path}", self.url)).json(body).send().await.unwrap();
        assert!(response.status().is_success());
        response.json().await.unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Value {
        let response = self.client.patch(format!("{}/sandbox/{path}", self.url)).json(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
        response.json().await.unwrap()
    }
}

pub(crate) const PAYINS: &str = "indigate-payin-svc/api/v1/payin/transaction/fetch";
pub(crate) const PAYOUTS: &str = "indigate-payout-svc/api/v1/wallet/transactions";
