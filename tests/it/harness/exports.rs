//! Exports that a job writes (`POST /exports`).

use std::time::Duration;

use serde_json::{Value, json};

use super::eventually_within;
use super::test_system::Web;

pub(crate) const EXPORTS: &str = "/api/v1/exports";

/// Creates an export of transactions with the query of the direct export.
pub(crate) async fn create_export(web: &Web, key: &str, query: &str) -> Value {
    let body = json!({"export": "transactions", "query": query}).to_string();
    let response = web.request(reqwest::Method::POST, EXPORTS, Some(key), Some(&body)).await.expect("a response");
    assert_eq!(response.status, 202, "{}", response.text);
    let export = response.json();
    assert_eq!(response.header("location"), export_path(&export));
    export
}

pub(crate) fn export_path(export: &Value) -> String {
    format!("{EXPORTS}/{}", export["id"].as_str().expect("an id"))
}

/// Waits until the file of an export is available and its job has succeeded.
pub(crate) async fn wait_for_export(web: &Web, export: &Value, timeout: Duration) -> Value {
    eventually_within(timeout, "the export to be finished", || async {
        let export = web.get(&export_path(export)).await;
        assert_ne!(export["state"], "failed", "{export}");
        // The file is available shortly before its job is finished.
        (!export["download"].is_null() && export["state"] == "succeeded").then_some(export)
    })
    .await
}
