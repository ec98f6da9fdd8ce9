//! Records that could not be read, explained by the ids in them.

use std::collections::BTreeSet;

use psp_dashboard::domain::explanation::quarantine_cause::QuarantineCause;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::fixture::{codes, earlier, explanation_path, limited_key, reference_path};
use crate::harness::test_system::{ADMIN, TestSystem, VIEWER};

/// Everything that damages a record.
const FAULTS: [&str; 10] = [
    "malformed",
    "nan",
    "control-char",
    "bad-escape",
    "leading-zero",
    "stray-quote",
    "duplicate-key",
    "unreadable-paid-amount",
    "huge-amount",
    "outlier-id",
];

#[tokio::test]
async fn every_quarantined_record_is_explained_by_its_id() {
    let faults: Vec<String> = FAULTS.iter().map(|fault| format!("{fault}=0.2")).collect();
    let faults = faults.iter().flat_map(|fault| ["--fault", fault]);
    let arguments: Vec<&str> = ["--history-days", "2", "--per-day", "120"].into_iter().chain(faults).collect();
    let system = TestSystem::start(&arguments).await;
    let _worker = system.start_jobs_with(&["worker"], &[("INITIAL_SYNC_DAYS", "4")]);
    system.sync_both().await;
    // Nested deeper than a record may be.
    let nested =
        format!("{{\"orderId\":\"deep-1\",\"txnId\":\"deep-1\",\"a\":{}1{}}}", "[".repeat(110), "]".repeat(110));
    let nested: serde_json::Value = serde_json::from_str(&nested).expect("JSON");
    system.sandbox.send(Method::POST, "payshack/payins", Some(nested)).await;
    system.run_job("sync-payshack", None);
    let web = system.start_web().await;
    let entries = sqlx::query!("SELECT id, source, source_id, reason, raw FROM quarantine");
    let entries = entries.fetch_all(&system.pool).await.expect("the quarantine");
    let (mut explained, mut causes) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let cause = QuarantineCause::from_sentence(&entry.reason);
        assert_ne!(cause, QuarantineCause::Other, "{}: explain this reason", entry.reason);
        // One entry for each wording.
        let wording: String = entry.reason.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if !explained.insert((entry.source.clone(), wording)) {
            continue;
        }
        causes.insert(cause);
        let raw = String::from_utf8_lossy(&entry.raw);
        // A record without a readable id has some id in its text.
        let words = raw.split(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter));
        let ids = words.filter(|word| word.len() > 8 && word.contains(|letter: char| letter.is_ascii_digit()));
        let Some(reference) = entry.source_id.clone().or_else(|| ids.map(str::to_owned).next()) else { continue };
        let explanation = web.get(&reference_path(&reference)).await;
        // Read after all, and stored on both sides: the quarantine is not searched then.
        if explanation["code"] == "stored" {
            continue;
        }
        let found = explanation["quarantined"].as_array().expect("a list");
        let found = found.iter().find(|found| found["id"] == json!(entry.id));
        let found = found.unwrap_or_else(|| panic!("{reference} is in {raw}: {explanation}"));
        assert_eq!(found["cause"], cause.as_str(), "{found}");
        assert!(found["action"].as_str().is_some_and(|action| !action.is_empty()), "{found}");
        if explanation["payments"].as_array().is_some_and(Vec::is_empty) {
            assert_eq!(explanation["code"], "quarantined", "{explanation}");
        }
    }
    let all: BTreeSet<QuarantineCause> = QuarantineCause::ALL.into();
    let missing: Vec<_> = all.difference(&causes).filter(|cause| **cause != QuarantineCause::Other).collect();
    assert!(missing.is_empty(), "{missing:?} did not occur");
}

#[tokio::test]
async fn counterpart_in_quarantine_is_named_to_those_who_may_see_it() {
    let system = TestSystem::start(&["--per-day", "0"]).await;
    let _worker = system.start_jobs(&["worker"]);
    let (key, created_at) = ("order-7001", earlier().to_rfc3339());
    let operation = json!({
        "operation_id": "501", "project": "91game", "payment_status": "success", "client_operation_id": key,
        "operation_created_at": created_at, "operation_modified_at": created_at, "complete_amount": 100,
        "complete_currency": "INR",
    });
    system.sandbox.send(Method::POST, "vima/operations", Some(operation)).await;
    let payin = json!({
        "txnId": "P501", "orderId": key, "amount": "1,500.00", "txnStatus": "Success", "payerPhone": "9876543341",
        "clientName": "91G_TECH_PVT_LTD", "createdAt": created_at, "modifiedAt": created_at,
    });
    system.sandbox.send(Method::POST, "payshack/payins", Some(payin)).await;
    system.sync_both().await;
    let web = system.start_web().await;
    let id: Uuid =
        sqlx::query_scalar!("SELECT id FROM transactions").fetch_one(&system.pool).await.expect("the payment");
    let entry: Uuid =
        sqlx::query_scalar!("SELECT id FROM quarantine").fetch_one(&system.pool).await.expect("the record");
    let get = async |key: &str, path: &str| {
        let response = web.request(Method::GET, path, Some(key), None).await.expect("the web process responds");
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response.json()
    };
    for role in [ADMIN, VIEWER] {
        let explanation = get(role, &explanation_path(id)).await;
        assert_eq!(codes(&explanation)[0], "quarantined", "{explanation}");
        assert_eq!(explanation["reasons"][0]["quarantine_id"], json!(entry), "{explanation}");
    }
    // A viewer must not find a person by guessing.
    for (role, reference, found) in [
        (ADMIN, "P501", 1),
        (VIEWER, "P501", 1),
        (ADMIN, "9876543341", 1),
        (VIEWER, "9876543341", 0),
        (ADMIN, "987654334", 0),
    ] {
        let explanation = get(role, &reference_path(reference)).await;
        assert_eq!(explanation["quarantined"].as_array().map(Vec::len), Some(found), "{reference}: {explanation}");
        assert!(!explanation.to_string().contains("1,500.00\",\"txnStatus"), "no raw text: {explanation}");
    }
    // A record in quarantine has no project.
    let limited = limited_key(&system, &web, "admin", "91game").await;
    let explanation = get(&limited, &explanation_path(id)).await;
    assert!(!codes(&explanation).contains(&"quarantined".to_owned()), "{explanation}");
    let explanation = get(&limited, &reference_path("P501")).await;
    assert_eq!(explanation["quarantined"], json!([]), "{explanation}");
}
