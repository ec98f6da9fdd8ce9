//! Many discrepancies, and bulk actions on them that can be held half-way.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, Postgres, Transaction};

use crate::export::insert_discrepancies;
use crate::harness::eventually;
use crate::harness::test_system::{ApiResponse, OPERATOR, TestSystem, Web, items};

pub(super) const BULK_ACTIONS: &str = "/api/v1/bulk-actions";
pub(super) const PREVIEW_DISCREPANCIES: &str = "/api/v1/reconciliation/discrepancies/bulk-actions/preview";
pub(super) const PREVIEW_JOBS: &str = "/api/v1/jobs/bulk-actions/preview";

pub(super) struct Fixture {
    pub(super) system: TestSystem,
    pub(super) web: Web,
}

impl Fixture {
    /// A system without a worker, with so many open discrepancies of one project.
    pub(super) async fn start(discrepancies: i32) -> Self {
        let system = TestSystem::start(&[]).await;
        insert_discrepancies(&system, discrepancies).await;
        Self { web: system.start_web().await, system }
    }

    pub(super) async fn execute(&self, statement: &str) {
        self.system.pool.execute(AssertSqlSafe(statement.to_owned())).await.expect("the database accepts it");
    }

    pub(super) async fn send(&self, key: &str, method: Method, path: &str, body: &Value) -> ApiResponse {
        self.web.send_json(method, path, key, &[], body).await
    }

    /// Makes a preview, and returns it.
    pub(super) async fn preview(&self, key: &str, path: &str, body: &Value) -> Value {
        let response = self.send(key, Method::POST, path, body).await;
        assert_eq!(response.status, 200, "{body}: {response:?}");
        response.json()
    }

    pub(super) async fn try_confirm(&self, key: &str, preview: &Value) -> ApiResponse {
        self.send(key, Method::POST, BULK_ACTIONS, &json!({"token": preview["token"]})).await
    }

    /// Confirms a preview, and returns the path of the bulk action.
    pub(super) async fn confirm(&self, key: &str, preview: &Value) -> String {
        let response = self.try_confirm(key, preview).await;
        assert_eq!(response.status, 202, "{response:?}");
        let path = format!("{BULK_ACTIONS}/{}", preview["bulk_action_id"].as_str().expect("an id"));
        assert_eq!(response.header("location"), path);
        path
    }

    /// Previews and confirms a change of all open discrepancies.
    pub(super) async fn acknowledge_open(&self, key: &str) -> String {
        let body = json!({"filter": {"state": "open"}, "state": "acknowledged"});
        self.confirm(key, &self.preview(key, PREVIEW_DISCREPANCIES, &body).await).await
    }

    pub(super) async fn wait_for(&self, path: &str, state: &str) -> Value {
        eventually(&format!("the bulk action to be {state}"), || async {
            Some(self.web.get(path).await).filter(|action| action["state"] == state)
        })
        .await
    }

    pub(super) async fn skipped(&self, path: &str) -> Vec<(String, String)> {
        let text = |item: &Value, name: &str| item[name].as_str().expect("a text").to_owned();
        let pages = self.web.pages(OPERATOR, &format!("{path}/skipped?limit=2")).await;
        pages.iter().flat_map(items).map(|item| (text(item, "id"), text(item, "reason"))).collect()
    }

    /// Locks the discrepancy before which there are `offset` others, so that a bulk action waits for it.
    pub(super) async fn lock_discrepancy(&self, offset: i64) -> Transaction<'static, Postgres> {
        let mut transaction = self.system.pool.begin().await.expect("the database responds");
        sqlx::query!(
            "SELECT id FROM discrepancies WHERE id = (SELECT id FROM discrepancies ORDER BY id OFFSET $1 LIMIT 1) FOR UPDATE",
            offset
        )
        .fetch_one(&mut *transaction)
        .await
        .expect("there is one");
        transaction
    }

    /// Waits until the job waits for the locked discrepancy.
    pub(super) async fn wait_until_blocked(&self) {
        eventually("the job to wait for a lock", || async {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                            WHERE datname = current_database() AND wait_event_type = 'Lock'
                              AND application_name LIKE 'psp job %'";
            (self.system.number(waiting).await > 0).then_some(())
        })
        .await;
    }
}
