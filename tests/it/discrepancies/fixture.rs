//! Discrepancies, results, runs and payments, inserted without reconciling anything.

use chrono::{DateTime, Days, NaiveDate, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::reconciliation::Parameters;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::harness::test_system::{ApiResponse, OPERATOR, TestSystem, Web};

pub(super) const LIST: &str = "/api/v1/reconciliation/discrepancies";

/// A system with a web process but without a worker, so that no reconciliation runs.
pub(super) struct DiscrepanciesApi {
    pub(super) system: TestSystem,
    pub(super) web: Web,
}

impl DiscrepanciesApi {
    pub(super) async fn start() -> Self {
        let system = TestSystem::start(&[]).await;
        Self { web: system.start_web().await, system }
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.system.pool
    }

    pub(super) async fn request(&self, method: Method, path: &str, key: &str, body: Option<Value>) -> ApiResponse {
        let body = body.map(|body| body.to_string());
        self.web.request(method, path, Some(key), body.as_deref()).await.expect("the web process responds")
    }

    /// Updates a discrepancy as an operator.
    pub(super) async fn patch(&self, id: Uuid, body: Value) -> ApiResponse {
        self.request(Method::PATCH, &format!("{LIST}/{id}"), OPERATOR, Some(body)).await
    }

    /// The same, asserting that the status is 200.
    pub(super) async fn update(&self, id: Uuid, body: Value) -> Value {
        let response = self.patch(id, body.clone()).await;
        assert_eq!(response.status, 200, "{body}: {response:?}");
        response.json()
    }

    pub(super) async fn count_changes(&self) -> i64 {
        self.system.number("SELECT count(*) FROM discrepancy_changes").await
    }
}

pub(super) fn day(days_ago: u64) -> NaiveDate {
    SystemClock.now().date_naive() - Days::new(days_ago)
}

pub(super) fn noon(day: NaiveDate) -> DateTime<Utc> {
    day.and_hms_opt(12, 0, 0).expect("a valid time").and_utc()
}

/// Inserts a completed run of a day as of noon of the next day.
pub(super) async fn insert_run(pool: &PgPool, recon_date: NaiveDate) -> Uuid {
    insert_run_as_of(pool, recon_date, noon(recon_date + Days::new(1))).await
}

/// Inserts a completed run of a day with the next version.
pub(super) async fn insert_run_as_of(pool: &PgPool, recon_date: NaiveDate, as_of: DateTime<Utc>) -> Uuid {
    let begins = |day: NaiveDate| day.and_hms_opt(0, 0, 0).expect("a valid time").and_utc();
    sqlx::query_scalar!(
        r#"INSERT INTO reconciliation_runs
               (id, recon_date, version, status, trigger, started_at, finished_at, parameters, day_from, day_until, as_of)
           SELECT $1, $2, 1 + count(*), 'completed', 'schedule', $3, $3, $4, $5, $6, $3
             FROM reconciliation_runs WHERE recon_date = $2 RETURNING id"#,
        Uuid::now_v7(),
        recon_date,
        as_of,
        json!(Parameters::default()),
        begins(recon_date),
        begins(recon_date + Days::new(1))
    )
    .fetch_one(pool)
    .await
    .expect("the database accepts it")
}

/// A payment of a hundred rupees.
pub(super) struct Payment<'a> {
    pub(super) source: &'a str,
    pub(super) kind: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) project: &'a str,
    pub(super) created_at: DateTime<Utc>,
    pub(super) ingested_at: DateTime<Utc>,
}

impl<'a> Payment<'a> {
    pub(super) fn new(source: &'a str, key: &'a str, created_at: DateTime<Utc>) -> Self {
        Self { source, kind: "payin", key: Some(key), project: "91game", created_at, ingested_at: created_at }
    }

    pub(super) async fn insert(&self, pool: &PgPool) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query!(
            r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, order_id, project,
                                         amount, currency, status, user_email, user_phone, created_at, ingested_at, raw_data)
               VALUES ($1, $2, $3, $1::uuid::text, '\x00', CASE WHEN $2 = 'vima' THEN $4 END,
                       CASE WHEN $2 = 'payshack' THEN $4 END, $5, 100, 'INR', 'success', 'someone@example.com',
                       '9876543341', $6, $7, '{}')"#,
            id,
            self.source,
            self.kind,
            self.key,
            self.project,
            self.created_at,
            self.ingested_at
        )
        .execute(pool)
        .await
        .expect("the database accepts it");
        id
    }
}

/// A discrepancy, or the result from which one is opened.
pub(super) struct Discrepancy<'a> {
    pub(super) recon_date: NaiveDate,
    pub(super) key: &'a str,
    pub(super) match_status: &'a str,
    pub(super) types: &'a [&'a str],
    pub(super) project: &'a str,
    pub(super) vima: Option<Uuid>,
    pub(super) payshack: Option<Uuid>,
    pub(super) amounts: (Option<Decimal>, Option<Decimal>),
    pub(super) state: &'a str,
    pub(super) assignee: Option<&'a str>,
    pub(super) resolved_at: Option<DateTime<Utc>>,
}

impl<'a> Discrepancy<'a> {
    /// An open discrepancy between amounts of 100 and 90 rupees.
    pub(super) fn new(recon_date: NaiveDate, key: &'a str) -> Self {
        Self {
            recon_date,
            key,
            match_status: "discrepancy",
            types: &["amount"],
            project: "91game",
            vima: Some(Uuid::now_v7()),
            payshack: Some(Uuid::now_v7()),
            amounts: (Some(100.into()), Some(90.into())),
            state: "open",
            assignee: None,
            resolved_at: None,
        }
    }

    /// The same in another state; if that is a closed one, closed at noon of the next day.
    pub(super) fn in_state(recon_date: NaiveDate, key: &'a str, state: &'a str) -> Self {
        let closed = !["open", "acknowledged"].contains(&state);
        let resolved_at = closed.then(|| noon(recon_date + Days::new(1)));
        Self { state, resolved_at, ..Self::new(recon_date, key) }
    }

    fn diff(&self) -> Option<Decimal> {
        self.amounts.0.zip(self.amounts.1).map(|(vima, payshack)| vima - payshack)
    }

    fn types(&self) -> Vec<String> {
        self.types.iter().map(|&kind| kind.to_owned()).collect()
    }

    /// Inserts the discrepancy as opened by `run_id` at noon of the next day.
    pub(super) async fn insert(&self, pool: &PgPool, run_id: Uuid) -> Uuid {
        let duplicate = self.vima.or(self.payshack).filter(|_| self.match_status == "duplicate");
        sqlx::query_scalar!(
            r#"INSERT INTO discrepancies
                   (id, recon_date, key, occurrence, duplicate_txn_id, match_status, types, project, vima_txn_id,
                    payshack_txn_id, vima_amount, payshack_amount, amount_diff, vima_currency, payshack_currency,
                    vima_status, payshack_status, details, state, assignee, first_seen_at, first_run_id, resolved_at,
                    created_at)
               VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'INR', 'INR', 'success', NULL,
                       '{"why": "so"}', $13, $14, $15, $16, $17, $15) RETURNING id"#,
            Uuid::now_v7(),
            self.recon_date,
            self.key,
            duplicate,
            self.match_status,
            &self.types(),
            self.project,
            self.vima,
            self.payshack,
            self.amounts.0,
            self.amounts.1,
            self.diff(),
            self.state,
            self.assignee,
            noon(self.recon_date + Days::new(1)),
            run_id,
            self.resolved_at
        )
        .fetch_one(pool)
        .await
        .expect("the database accepts it")
    }

    /// Inserts the result of `run_id`.
    pub(super) async fn insert_result(&self, pool: &PgPool, run_id: Uuid) {
        sqlx::query!(
            r#"INSERT INTO reconciliation_results
                   (run_id, recon_date, key, match_status, types, project, vima_txn_id, payshack_txn_id, details)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{"why": "so"}')"#,
            run_id,
            self.recon_date,
            self.key,
            self.match_status,
            &self.types(),
            self.project,
            self.vima,
            self.payshack
        )
        .execute(pool)
        .await
        .expect("the database accepts it");
    }
}
