//! Payments around a quarter of an hour in the past, up to which the sources have been read, and the evaluation of rules.
//!
//! Nothing depends on the time of day: the windows of all rules end at that quarter, whenever the test runs.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims::{Claimer, claim};
use psp_dashboard::domain::job::{Claim, EVALUATE_ALERTS, NewJob, Trigger};
use psp_dashboard::domain::metrics::cell::Width;
use psp_dashboard::operations::alerts::evaluate::{AlertEvaluator, EvaluationReport};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::redis::Redis;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use crate::harness::test_system::{ApiResponse, OPERATOR, TestSystem, Web, items};

pub(super) const RULES: &str = "/api/v1/alert-rules";
pub(super) const ALERTS: &str = "/api/v1/alerts";

pub(super) struct Fixture {
    pub(super) system: TestSystem,
    pub(super) web: Web,
    pub(super) redis: Arc<Redis>,
    pub(super) claim: Claim,
    /// The quarter of an hour up to which the sources have been read.
    pub(super) end: DateTime<Utc>,
}

impl Fixture {
    pub(super) async fn start() -> Self {
        let system = TestSystem::start(&[]).await;
        let (web, redis) = (system.start_web().await, Arc::new(system.servers.redis().await));
        let claim = new_claim(&system, &redis).await;
        let fixture = Self { system, web, redis, claim, end: Width::Quarter.start(SystemClock.now()) };
        fixture.read_until(fixture.end).await;
        fixture
    }

    pub(super) async fn execute(&self, statement: String) {
        self.system
            .pool
            .execute(AssertSqlSafe(statement.clone()))
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// As if both sources had been read completely up to `time`.
    pub(super) async fn read_until(&self, time: DateTime<Utc>) {
        let time = time.to_rfc3339();
        self.execute(format!(
            "INSERT INTO sync_streams (source, stream, watermark, day, covered_from)
             SELECT source, stream, '{time}', '2020-01-01', '2020-01-01Z'
               FROM (VALUES ('vima', 'creations'), ('vima', 'updates'), ('vima', 'history'), ('payshack', 'payins'),
                            ('payshack', 'payouts'), ('payshack', 'history')) AS streams (source, stream)
                 ON CONFLICT (source, stream) DO UPDATE SET watermark = excluded.watermark"
        ))
        .await;
    }

    /// Stores `count` payments, created `minutes` before the end, and the cells of their day.
    pub(super) async fn store(&self, project: &str, status: &str, count: u32, minutes: i64) {
        let at = self.end - TimeDelta::minutes(minutes);
        let (day, next) = (at.date_naive(), at.date_naive() + chrono::Days::new(1));
        let at = at.to_rfc3339();
        self.execute(format!(
            "INSERT INTO transactions (id, source, kind, source_id, content_hash, amount, currency, status, project, created_at,
                                       ingested_at, raw_data)
             SELECT gen_random_uuid(), 'vima', 'payin', gen_random_uuid()::text, '\\x00', 100, 'INR', '{status}', '{project}',
                    '{at}', now(), '{{}}' FROM generate_series(1, {count});
             INSERT INTO metric_cells SELECT * FROM odd_metric_cells('vima', '{day}Z', '{next}Z')
                 ON CONFLICT (facet, width, project, member, bucket, source, kind, currency, status)
                 DO UPDATE SET count = excluded.count, amount = excluded.amount;
             UPDATE payment_versions SET version = version + 1"
        ))
        .await;
    }

    pub(super) async fn evaluate(&self) -> EvaluationReport {
        self.evaluate_as(&self.claim).await
    }

    pub(super) async fn evaluate_as(&self, claim: &Claim) -> EvaluationReport {
        self.try_evaluate_as(claim).await.expect("the claim is valid")
    }

    pub(super) async fn try_evaluate_as(&self, claim: &Claim) -> Result<EvaluationReport, DbError> {
        let evaluator = AlertEvaluator { pool: &self.system.pool, redis: &self.redis, channels: &[] };
        evaluator.evaluate(claim, SystemClock.now()).await
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> ApiResponse {
        let body = body.to_string();
        self.web.request(method, path, Some(OPERATOR), Some(&body)).await.expect("the web process responds")
    }

    pub(super) async fn ok(&self, method: Method, path: &str, body: &Value) -> Value {
        let response = self.send(method.clone(), path, body).await;
        assert!((200..300).contains(&response.status), "{method} {path}: {response:?}");
        response.json()
    }

    /// Creates a rule whose data may be as old as the quarter, and returns its path.
    pub(super) async fn create(&self, mut rule: Value) -> String {
        if rule.get("max_lag_minutes").is_none() {
            rule["max_lag_minutes"] = json!(60);
        }
        if rule.get("name").is_none() {
            rule["name"] = json!(format!("rule about {}", rule["kind"].as_str().expect("a kind")));
        }
        let created = self.ok(Method::POST, RULES, &rule).await;
        format!("{RULES}/{}", created["id"].as_str().expect("an id"))
    }

    pub(super) async fn alerts(&self, query: &str) -> Vec<Value> {
        items(&self.web.get(&format!("{ALERTS}?{query}")).await).clone()
    }

    /// The open alerts as kind, subject and reason, sorted.
    pub(super) async fn open(&self) -> Vec<String> {
        let alerts = self.alerts("open=true&limit=100").await;
        let field = |alert: &Value, name: &str| alert[name].as_str().expect("a text").to_owned();
        let text = |alert: &Value| ["kind", "subject", "reason"].map(|name| field(alert, name)).join(" ");
        let mut open: Vec<String> = alerts.iter().map(text).collect();
        open.sort();
        open
    }
}

/// A claim on a job of its own, so that several evaluations can run at the same time.
pub(super) async fn new_claim(system: &TestSystem, redis: &Redis) -> Claim {
    let job = NewJob { limit_key: None, force: true, ..NewJob::without_args(&EVALUATE_ALERTS, Trigger::Api) };
    enqueue_job(&system.pool, redis, &job).await.expect("the job is enqueued");
    let queues = &[EVALUATE_ALERTS.queue.to_owned()];
    let claimer = Claimer { queues, worker: "w", lease: std::time::Duration::from_mins(5), suspects: None };
    let batch = claim(&system.pool, &claimer, 1).await.expect("the jobs table responds");
    batch.jobs.into_iter().next().expect("a due job").claim
}
