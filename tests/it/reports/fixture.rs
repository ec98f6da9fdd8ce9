//! An installation that sends reports to a mail server, a webhook and a folder.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use psp_dashboard::db::jobs::claims::{Claimer, claim};
use psp_dashboard::domain::job::{Claim, NewJob, RUN_REPORT_SCHEDULES, Trigger};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::redis::Redis;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use tempfile::TempDir;

use crate::harness::eventually;
use crate::harness::notification_channels::ChannelStub;
use crate::harness::programs::RunningProgram;
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, Web, items};
use crate::harness::webhook_receiver::{Answer, WebhookReceiver};

pub(super) const SCHEDULES: &str = "/api/v1/report-schedules";
/// A time that does not come while a test runs.
pub(super) const YEARLY: &str = "0 0 1 7 *";

pub(super) struct Fixture {
    pub(super) system: TestSystem,
    pub(super) web: Web,
    pub(super) mail: ChannelStub,
    pub(super) receiver: WebhookReceiver,
    pub(super) folder: TempDir,
}

impl Fixture {
    /// Without a worker.
    pub(super) async fn start(sandbox: &[&str]) -> Self {
        let system = TestSystem::start(sandbox).await;
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [("REPORT_EMAIL_ALLOWED", "@example.com"), ("EXPORT_STORE", &store(&folder))];
        let web = system.start_web_with(&settings).await;
        let (mail, receiver) = (ChannelStub::mail_server().await, WebhookReceiver::start(Answer::Status(200)).await);
        Self { system, web, mail, receiver, folder }
    }

    pub(super) fn start_jobs(&self, arguments: &[&str]) -> RunningProgram {
        let settings = [
            ("REPORT_EMAIL_ALLOWED", "@example.com"),
            ("PUBLIC_URL", "https://dash.example.com"),
            ("EXPORT_STORE", &store(&self.folder)),
            ("SMTP_URL", &self.mail.url),
            ("ALERT_EMAIL_FROM", "PSP <reports@example.com>"),
            ("ALERT_EMAIL_TO", "ops@example.com"),
        ];
        self.system.start_jobs_with(arguments, &settings)
    }

    pub(super) async fn execute(&self, statement: &str) {
        let executed = self.system.pool.execute(AssertSqlSafe(statement.to_owned())).await;
        executed.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    pub(super) async fn send(&self, key: &str, method: Method, path: &str, body: &Value) -> ApiResponse {
        let body = (!body.is_null()).then(|| body.to_string());
        self.web.request(method, path, Some(key), body.as_deref()).await.expect("the web process responds")
    }

    pub(super) async fn ok(&self, key: &str, method: Method, path: &str, body: &Value) -> Value {
        let response = self.send(key, method.clone(), path, body).await;
        assert!((200..300).contains(&response.status), "{method} {path}: {response:?}");
        response.json()
    }

    /// Creates a webhook that gets no events, and returns its id.
    pub(super) async fn create_webhook(&self) -> Value {
        let webhook = json!({"url": self.receiver.url, "events": ["alert"]});
        self.ok(ADMIN, Method::POST, "/api/v1/webhooks", &webhook).await["id"].clone()
    }

    /// Creates a schedule whose times do not come, unless it says when, and returns its path.
    pub(super) async fn create(&self, key: &str, mut schedule: Value) -> String {
        for (field, default) in [("name", "a report"), ("cron", YEARLY), ("timezone", "UTC")] {
            if schedule.get(field).is_none() {
                schedule[field] = json!(default);
            }
        }
        let created = self.ok(key, Method::POST, SCHEDULES, &schedule).await;
        format!("{SCHEDULES}/{}", created["id"].as_str().expect("an id"))
    }

    /// Runs a schedule now, without waiting for the report.
    pub(super) async fn request_run(&self, schedule: &str) -> Value {
        self.ok(OPERATOR, Method::POST, &format!("{schedule}/run"), &Value::Null).await
    }

    /// Runs a schedule now, and returns the run once it is delivered.
    pub(super) async fn run(&self, schedule: &str) -> Value {
        let run = self.request_run(schedule).await;
        self.wait_for(schedule, &run, "delivered").await
    }

    /// Runs a schedule as if it were another time.
    pub(super) async fn run_at(&self, schedule: &str, due_at: &str) -> Value {
        self.ok(ADMIN, Method::POST, "/api/v1/queues/reports/pause", &Value::Null).await;
        let run = self.request_run(schedule).await;
        let id = run["id"].as_str().expect("an id");
        self.execute(&format!("UPDATE report_runs SET due_at = '{due_at}' WHERE id = '{id}'")).await;
        self.ok(ADMIN, Method::POST, "/api/v1/queues/reports/resume", &Value::Null).await;
        self.wait_for(schedule, &run, "delivered").await
    }

    /// Waits until a run has this state.
    pub(super) async fn wait_for(&self, schedule: &str, run: &Value, state: &str) -> Value {
        eventually(&format!("a report to be {state}"), || async {
            let runs = self.runs(schedule).await;
            runs.into_iter().find(|known| known["id"] == run["id"] && known["state"] == state)
        })
        .await
    }

    pub(super) async fn runs(&self, schedule: &str) -> Vec<Value> {
        items(&self.web.get(&format!("{schedule}/runs?limit=100")).await).clone()
    }

    /// The content of a file of a report.
    pub(super) fn file(&self, run: &Value) -> String {
        let path = run["result"]["file"].as_str().unwrap_or_else(|| panic!("a file: {run}"));
        std::fs::read_to_string(self.folder.path().join("reports").join(path)).expect("a text file")
    }

    /// A claim on a job that plans runs, beside others.
    pub(super) async fn claim(&self, redis: &Redis) -> Claim {
        let job = NewJob { limit_key: None, force: true, ..NewJob::without_args(&RUN_REPORT_SCHEDULES, Trigger::Api) };
        enqueue_job(&self.system.pool, redis, &job).await.expect("the job is enqueued");
        let queues = &[RUN_REPORT_SCHEDULES.queue.to_owned()];
        let claimer = Claimer { queues, worker: "w", lease: Duration::from_mins(5), suspects: None };
        let batch = claim(&self.system.pool, &claimer, 1).await.expect("the jobs table responds");
        batch.jobs.into_iter().next().expect("a due job").claim
    }
}

fn store(folder: &TempDir) -> String {
    format!("file://{}", folder.path().display())
}

/// The headers and parts of a message with their encodings removed, as far as reports use them.
pub(super) fn decoded(message: &str) -> String {
    let boundary = message.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("several parts");
    let boundary = format!("--{boundary}");
    let parts = message.split(&boundary);
    let encoding = |part: &str| {
        let name = part.split("Content-Transfer-Encoding: ").nth(1).and_then(|rest| rest.lines().next());
        name.unwrap_or_default().to_owned()
    };
    parts.map(|part| decode(&encoding(part), part)).collect()
}

fn decode(encoding: &str, block: &str) -> String {
    let (headers, body) = block.split_once("\n\n").unwrap_or(("", block));
    let bytes = match encoding {
        "base64" => {
            let digits: String = body.split_whitespace().collect();
            BASE64_STANDARD.decode(digits).expect("base64")
        }
        "quoted-printable" => unquote(body),
        _ => body.as_bytes().to_vec(),
    };
    format!("{headers}\n\n{}", String::from_utf8_lossy(&bytes))
}

fn unquote(body: &str) -> Vec<u8> {
    let body = body.replace("=\n", "");
    let mut bytes = vec![];
    let mut rest = body.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let digits = std::str::from_utf8(others.get(..2).unwrap_or_default()).unwrap_or_default();
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if first == b'=' => {
                bytes.push(byte);
                rest = &others[2..];
            }
            _ => {
                bytes.push(first);
                rest = others;
            }
        }
    }
    bytes
}
