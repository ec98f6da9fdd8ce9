//! Every fault, at rate 1, does what it says.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::running::{PAYINS, Running};

#[tokio::test]
async fn answers_in_the_providers_stead() {
    let running = Running::with(&["--fault", "500=1"]).await;
    assert_eq!(running.vima("").await.status(), 500);
    for status in ["502", "503"] {
        running.put("faults?reset=true", &json!({ status: 1 })).await;
        assert_eq!(running.vima("").await.status().as_str(), status);
    }
    running.put("faults?reset=true", &json!({"429-seconds": 1})).await;
    let slow = running.vima("").await;
    assert_eq!((slow.status().as_u16(), slow.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    running.put("faults?reset=true", &json!({"429-date": 1})).await;
    let slow = running.vima("").await;
    assert!(slow.headers()["retry-after"].to_str().unwrap().ends_with(" GMT"));
    running.put("faults?reset=true", &json!({"html": 1})).await;
    let html = running.vima("").await;
    assert_eq!(html.status(), 200);
    assert!(html.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    running.put("faults?reset=true", &json!({})).await;
    assert_eq!(running.operations("count=3").await.len(), 3);
}

#[tokio::test]
async fn answers_that_do_not_come_whole() {
    let running = Running::with(&["--fault", "truncated=1"]).await;
    let text = running.vima("").await.text().await.unwrap();
    assert!(text.starts_with('[') && serde_json::from_str::<Value>(&text).is_err());
    running.put("faults?reset=true", &json!({"reset": 1})).await;
    assert!(running.vima("").await.bytes().await.is_err());
    running.put("faults?reset=true", &json!({"endless": 1})).await;
    let mut endless = running.vima("").await;
    let mut received = 0;
    while received < 4_000_000 {
        received += endless.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn answers_that_come_late_or_not_at_all() {
    let running = Running::with(&["--fault", "latency-ms=150"]).await;
    let began = Instant::now();
    running.vima("count=1").await;
    assert!(began.elapsed() >= Duration::from_millis(150));
    running.put("faults?reset=true", &json!({"timeout": 1, "timeout-seconds": 0.3})).await;
    let began = Instant::now();
    assert_eq!(running.vima("count=1").await.status(), 504);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_dropped_token_stays_dropped_until_a_new_login() {
    let running = Running::with(&[]).await;
    let session = running.login().await;
    assert_eq!(running.payshack(&session, PAYINS).await.status(), 200);
    running.put("faults", &json!({"401": 1})).await;
    assert_eq!(running.payshack(&session, PAYINS).await.status(), 401);
    running.put("faults?reset=true", &json!({})).await;
    assert_eq!(running.payshack(&session, PAYINS).await.status(), 401);
    assert_eq!(running.payshack(&running.login().await, PAYINS).await.status(), 200);
    running.put("faults", &json!({"login-refused": 1, "success-false": 1})).await;
    assert_eq!(running.login_with("sandbox-password").await.status(), 401);
    running.put("faults?reset=true", &json!({"success-false": 1})).await;
    let answer = running.payshack(&running.login().await, PAYINS).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["success"], json!(false));
}

#[tokio::test]
async fn pages_with_too_much_in_them() {
    let running = Running::with(&["--fault", "duplicate=1", "--fault", "stale=1"]).await;
    let page = running.operations("count=20").await;
    assert_eq!(page.len(), 22);
    assert_eq!(page[20], page[10]);
    let newer = page.iter().find(|operation| operation["operation_id"] == page[21]["operation_id"]).unwrap();
    let version = |operation: &Value| operation["operation_update_id"].as_str().unwrap().parse::<u128>().unwrap();
    assert!(version(&page[21]) < version(newer));
    running.put("faults?reset=true", &json!({"nul": 1})).await;
    let text = running.vima("count=5").await.text().await.unwrap();
    assert_eq!(text.matches("\\u0000").count(), 5);
}

#[tokio::test]
async fn malformed_records_are_counted_apart_from_payments() {
    let running = Running::with(&["--fault", "malformed=0.3"]).await;
    let broken = |operation: &Value| {
        let id = operation["operation_id"].is_string();
        let created = operation["operation_created_at"].as_str().is_some_and(|time| time.starts_with("20"));
        let requested = operation["create_params"]["params"]["payment"]["amount"]["value"].is_number();
        !(id && created && requested)
    };
    let (mut malformed, mut payments, mut cursor) = (0, 0, "0".to_owned());
    loop {
        let page = running.operations(&format!("from_operation_create_id={cursor}")).await;
        let Some(last) = page.iter().filter_map(|operation| operation["operation_create_id"].as_str()).next_back()
        else {
            break;
        };
        cursor = last.to_owned();
        malformed += page.iter().filter(|operation| broken(operation)).count();
        payments += page.iter().filter(|operation| !broken(operation)).count();
    }
    let truth = running.control("truth").await;
    assert_eq!(truth["vima"]["payin"]["malformed"], json!(malformed));
    assert_eq!(truth["vima"]["payin"]["count"], json!(payments));
    assert!(malformed > payments / 5);
}

#[tokio::test]
async fn late_records_come_into_sight_below_a_cursor_already_passed() {
    let running = Running::with(&["--per-day", "0"]).await;
    running.put("switches", &json!({"vima_late_visible_share": 1.0, "vima_late_visible_seconds": 1})).await;
    running.post("live", &json!({"create": 5})).await;
    assert!(running.operations("").await.is_empty());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(!running.operations("").await.is_empty());
}
