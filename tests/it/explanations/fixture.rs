//! Payments that are inserted without a sync, and requests for their explanations.

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::Value;
use sqlx::{Executor, PgPool};
use uuid::Uuid;

use crate::harness::eventually;
use crate::harness::keys::create_key;
use crate::harness::test_system::{ADMIN, ApiResponse, TestSystem, Web};

/// A system with a web process and without a worker.
pub(super) struct ExplanationsApi {
    pub(super) system: TestSystem,
    pub(super) web: Web,
}

impl ExplanationsApi {
    pub(super) async fn start(settings: &[(&'static str, &str)]) -> Self {
        let system = TestSystem::start(&[]).await;
        Self { web: system.start_web_with(settings).await, system }
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.system.pool
    }

    /// Both sources have been read completely, up to now and for ten days back.
    pub(super) async fn set_read(&self) {
        self.pool()
            .execute(
                "INSERT INTO sync_streams (source, stream, watermark, day, covered_from)
                 SELECT source, stream, CASE WHEN stream <> 'history' THEN now() END,
                        CASE WHEN stream = 'history' THEN current_date - 10 END,
                        CASE WHEN stream = 'history' THEN (current_date - 10)::timestamp AT TIME ZONE 'UTC' END
                   FROM (VALUES ('vima', 'creations'), ('vima', 'updates'), ('vima', 'history'), ('payshack', 'payins'),
                                ('payshack', 'payouts'), ('payshack', 'history')) AS streams (source, stream)",
            )
            .await
            .expect("the database accepts it");
    }

    pub(super) async fn request(&self, key: &str, path: &str) -> ApiResponse {
        self.web.request(Method::GET, path, Some(key), None).await.expect("the web process responds")
    }

    pub(super) async fn explain(&self, id: Uuid) -> Value {
        self.web.get(&explanation_path(id)).await
    }

    pub(super) async fn explain_reference(&self, reference: &str) -> Value {
        let response = self.request(ADMIN, &reference_path(reference)).await;
        assert_eq!(response.status, 200, "{reference}: {response:?}");
        response.json()
    }
}

/// A key that is limited to a project, once the web process knows it.
pub(super) async fn limited_key(system: &TestSystem, web: &Web, role: &str, project: &str) -> String {
    let key = create_key(system, role, &[project]);
    eventually("the new key to be known", || async {
        let response = web.request(Method::GET, "/api/v1/me", Some(&key), None).await.ok()?;
        (response.status == 200).then_some(())
    })
    .await;
    key
}

pub(super) fn explanation_path(id: Uuid) -> String {
    format!("/api/v1/transactions/{id}/explain")
}

pub(super) fn reference_path(reference: &str) -> String {
    let mut query = reqwest::Url::parse("http://localhost/api/v1/explain/payment").expect("a URL");
    query.query_pairs_mut().append_pair("reference", reference);
    format!("{}?{}", query.path(), query.query().expect("a query"))
}

/// The codes of the reasons, the most important first.
pub(super) fn codes(explanation: &Value) -> Vec<String> {
    let reasons = explanation["reasons"].as_array().unwrap_or_else(|| panic!("reasons: {explanation}"));
    reasons.iter().map(|reason| reason["code"].as_str().expect("a code").to_owned()).collect()
}

/// Five hours ago: later than every grace and settle time.
pub(super) fn earlier() -> DateTime<Utc> {
    SystemClock.now() - TimeDelta::hours(5)
}

/// A successful pay-in of a hundred rupees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payment<'a> {
    pub(super) source: &'a str,
    pub(super) kind: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) project: Option<&'a str>,
    pub(super) amount: i64,
    pub(super) created_at: DateTime<Utc>,
}

impl<'a> Payment<'a> {
    pub(super) fn new(source: &'a str, key: &'a str) -> Self {
        let created_at = earlier();
        Self { source, kind: "payin", key: Some(key), project: Some("91game"), amount: 100, created_at }
    }

    /// Its source id is `id-` and its key.
    pub(super) async fn insert(&self, pool: &PgPool) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query!(
            r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, order_id, project,
                                         reference_id, utr, amount, currency, status, user_email, user_phone, created_at,
                                         ingested_at, raw_data)
               VALUES ($1, $2, $3, 'id-' || COALESCE($4, 'none'), '\x00', CASE WHEN $2 = 'vima' THEN $4 END,
                       CASE WHEN $2 = 'payshack' THEN $4 END, $5, 'Ref-' || $4, 'utr-' || $4, $6, 'INR', 'success',
                       'someone@example.com', '9876543341', $7, $7, '{}')"#,
            id,
            self.source,
            self.kind,
            self.key,
            self.project,
            rust_decimal::Decimal::from(self.amount),
            self.created_at
        )
        .execute(pool)
        .await
        .expect("the database accepts it");
        id
    }
}
