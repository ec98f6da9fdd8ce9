//! Every fault at rate 1.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{PAYINS, TestSandbox};

#[tokio::test]
async fn status_and_html_faults_replace_the_response() {
    let sandbox = TestSandbox::with(&["--fault", "500=1"]).await;
    assert_eq!(sandbox.vima("").await.status(), 500);
    for status in ["502", "503"] {
        sandbox.put("faults?reset=true", &json!({ status: 1 })).await;
        assert_eq!(sandbox.vima("").await.status().as_str(), status);
    }
    sandbox.put("faults?reset=true", &json!({"429-seconds": 1})).await;
    let throttled = sandbox.vima("").await;
    assert_eq!((throttled.status().as_u16(), throttled.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    sandbox.put("faults?reset=true", &json!({"429-date": 1})).await;
    let throttled = sandbox.vima("").await;
    assert!(throttled.headers()["retry-after"].to_str().unwrap().ends_with(" GMT"));
    sandbox.put("faults?reset=true", &json!({"html": 1})).await;
    let html = sandbox.vima("").await;
    assert_eq!(html.status(), 200);
    assert!(html.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    sandbox.put("faults?reset=true", &json!({})).await;
    assert_eq!(sandbox.operations("count=3").await.len(), 3);
}

#[tokio::test]
async fn truncated_reset_and_endless_responses_are_incomplete() {
    let sandbox = TestSandbox::with(&["--fault", "truncated=1"]).await;
    let text = sandbox.vima("").await.text().await.unwrap();
    assert!(text.starts_with('[') && serde_json::from_str::<Value>(&text).is_err());
    sandbox.put("faults?reset=true", &json!({"reset": 1})).await;
    assert!(sandbox.vima("").await.bytes().await.is_err());
    sandbox.put("faults?reset=true", &json!({"endless": 1})).await;
    let mut endless = sandbox.vima("").await;
    let mut received = 0;
    while received < 4_000_000 {
        received += endless.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn latency_and_timeout_delay_the_response() {
    let sandbox = TestSandbox::with(&["--fault", "latency-ms=150"]).await;
    let started = Instant::now();
    sandbox.vima("count=1").await;
    assert!(started.elapsed() >= Duration::from_millis(150));
    sandbox.put("faults?reset=true", &json!({"timeout": 1, "timeout-seconds": 0.3})).await;
    let started = Instant::now();
    assert_eq!(sandbox.vima("count=1").await.status(), 504);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn revoked_token_stays_invalid_until_a_new_login() {
    let sandbox = TestSandbox::with(&[]).await;
    let session = sandbox.login().await;
    assert_eq!(sandbox.payshack(&session, PAYINS).await.status(), 200);
    sandbox.put("faults", &json!({"401": 1})).await;
    assert_eq!(sandbox.payshack(&session, PAYINS).await.status(), 401);
    sandbox.put("faults?reset=true", &json!({})).await;
    assert_eq!(sandbox.payshack(&session, PAYINS).await.status(), 401);
    assert_eq!(sandbox.payshack(&sandbox.login().await, PAYINS).await.status(), 200);
    sandbox.put("faults", &json!({"login-refused": 1, "success-false": 1})).await;
    assert_eq!(sandbox.login_with("sandbox-password").await.status(), 401);
    sandbox.put("faults?reset=true", &json!({"success-false": 1})).await;
    let response = sandbox.payshack(&sandbox.login().await, PAYINS).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.json::<Value>().await.unwrap()["success"], json!(false));
}

#[tokio::test]
async fn pages_contain_duplicate_stale_and_nul_records() {
    let sandbox = TestSandbox::with(&["--fault", "duplicate=1", "--fault", "stale=1"]).await;
    let page = sandbox.operations("count=20").await;
    assert_eq!(page.len(), 22);
    assert_eq!(page[20], page[10]);
    let newer = page.iter().find(|operation| operation["operation_id"] == page[21]["operation_id"]).unwrap();
    let version = |operation: &Value| operation["operation_update_id"].as_str().unwrap().parse::<u128>().unwrap();
    assert!(version(&page[21]) < version(newer));
    sandbox.put("faults?reset=true", &json!({"nul": 1})).await;
    let text = sandbox.vima("count=5").await.text().await.unwrap();
    assert_eq!(text.matches("\\u0000").count(), 5);
}

#[tokio::test]
async fn malformed_records_are_not_counted_as_payments() {
    let sandbox = TestSandbox::with(&["--fault", "malformed=0.3"]).await;
    let is_malformed = |operation: &Value| {
        let id = operation["operation_id"].is_string();
        let created = operation["operation_created_at"].as_str().is_some_and(|time| time.starts_with("20"));
        let requested = operation["create_params"]["params"]["payment"]["amount"]["value"].is_number();
        !(id && created && requested)
    };
    let (mut malformed, mut payments, mut cursor) = (0, 0, "0".to_owned());
    loop {
        let page = sandbox.operations(&format!("from_operation_create_id={cursor}")).await;
        let Some(last) = page.iter().filter_map(|operation| operation["operation_create_id"].as_str()).next_back()
        else {
            break;
        };
        cursor = last.to_owned();
        malformed += page.iter().filter(|operation| is_malformed(operation)).count();
        payments += page.iter().filter(|operation| !is_malformed(operation)).count();
    }
    let truth = sandbox.control("truth").await;
    assert_eq!(truth["vima"]["payin"]["malformed"], json!(malformed));
    assert_eq!(truth["vima"]["payin"]["count"], json!(payments));
    assert!(malformed > payments / 5);
}

#[tokio::test]
async fn late_records_become_visible_after_the_delay() {
    let sandbox = TestSandbox::with(&["--per-day", "0"]).await;
    sandbox.put("switches", &json!({"vima_late_visible_share": 1.0, "vima_late_visible_seconds": 1})).await;
    sandbox.post("live", &json!({"create": 5})).await;
    assert!(sandbox.operations("").await.is_empty());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(!sandbox.operations("").await.is_empty());
}
