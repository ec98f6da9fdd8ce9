//! The discrepancies that the sandbox labels, each explained by its label.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::fixture::{codes, explanation_path};
use crate::harness::test_system::TestSystem;

/// The verdict, and a reason that must be given, of a labelled discrepancy.
fn expected(label: &str) -> (&'static str, &'static str) {
    match label {
        "amount" => ("discrepancy", "amount_differs"),
        "status" => ("discrepancy", "status_differs"),
        "missing_vima" => ("missing_vima", "missing_vima"),
        "missing_payshack" => ("missing_payshack", "missing_payshack"),
        "duplicate_vima" | "duplicate_payshack" => ("duplicate", "duplicate"),
        "split_by_midnight" => ("matched", "other_day"),
        other => panic!("the sandbox labels discrepancies {other:?}: explain them, and say here how"),
    }
}

/// Of the payment of a record in the truth.
async fn id_of(system: &TestSystem, source: &str, record: &Value) -> Uuid {
    let source_id = record["source_id"].as_str().expect("an id");
    sqlx::query_scalar!("SELECT id FROM transactions WHERE source = $1 AND source_id = $2", source, source_id)
        .fetch_one(&system.pool)
        .await
        .unwrap_or_else(|error| panic!("{source} {source_id}: {error}"))
}

#[tokio::test]
async fn every_labelled_discrepancy_is_explained_by_its_label() {
    let system = TestSystem::start(&["--per-day", "400", "--discrepancies", "0.2"]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let web = system.start_web().await;
    let mut explained: BTreeMap<String, usize> = BTreeMap::new();
    for found in system.sandbox.get("truth/discrepancies").await.as_array().expect("findings") {
        let label = found["type"].as_str().expect("a type");
        let count = explained.entry(label.to_owned()).or_default();
        if *count >= 12 {
            continue;
        }
        let (verdict, reason) = expected(label);
        for source in ["vima", "payshack"].into_iter().filter(|source| !found[*source].is_null()) {
            let id = id_of(&system, source, &found[source]).await;
            let explanation = web.get(&explanation_path(id)).await;
            assert_eq!(explanation["verdict"], verdict, "{label}: {explanation}");
            assert!(codes(&explanation).iter().any(|code| code == reason), "{label}: {explanation}");
            let has_both = ["vima", "payshack"].iter().all(|source| !found[*source].is_null());
            assert_eq!(!explanation["counterpart"].is_null(), has_both, "{label}: {explanation}");
            *count += 1;
        }
    }
    let truth = system.sandbox.get("truth").await;
    let labels: Vec<&String> = truth["discrepancies"].as_object().expect("by type").keys().collect();
    assert_eq!(labels.len(), 7, "{labels:?}");
    for label in labels {
        assert!(explained.get(label).is_some_and(|count| *count > 0), "{label} does not occur: {explained:?}");
    }
}
