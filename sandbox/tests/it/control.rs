//! A test's hand on the model.

use std::time::Duration;

use serde_json::{Value, json};

use crate::running::{PAYINS, Running};

#[tokio::test]
async fn a_planted_record_is_served_as_it_is() {
    let running = Running::with(&["--per-day", "0"]).await;
    let planted = r#"{"operation_id":"7","operation_update_id":"99999999999999999999","operation_created_at":"2026-01-14T08:00:00Z","complete_amount":12.34000000,"complete_currency":"INR","payment_status":"success","project":"91game"}"#;
    let url = format!("{}/sandbox/vima/operations", running.url);
    let answer = running.client.post(&url).body(planted).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["malformed"], json!(false));
    assert_eq!(running.vima("").await.text().await.unwrap(), format!("[{planted}]"));
    let records = running.control("truth/records?source=vima").await;
    assert_eq!(
        (&records[0]["amount"], &records[0]["version"]),
        (&json!("12.34000000"), &json!("99999999999999999999"))
    );
    for malformed in ["17", "null", r#"{"operation_id":"8"}"#] {
        let answer = running.client.post(&url).body(malformed).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap()["malformed"], json!(true));
    }
    assert_eq!(running.operations("from_operation_update_id=99999999999999999999").await.len(), 3);
    let truth = running.control("truth").await;
    assert_eq!((&truth["vima"]["payin"]["count"], &truth["vima"]["payin"]["malformed"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn the_newest_planted_version_is_the_truth() {
    let running = Running::with(&["--per-day", "0"]).await;
    for (status, modified) in [("Success", "2026-01-14T09:00:00Z"), ("Pending", "2026-01-14T08:30:00Z")] {
        let payin = json!({"txnId": "T1", "orderId": "O1", "amount": "5.50", "txnStatus": status,
            "clientName": "Another Shop", "createdAt": "2026-01-14T08:00:00Z", "modifiedAt": modified});
        running.post("payshack/payins", &payin).await;
    }
    let records = running.control("truth/records?source=payshack").await;
    assert_eq!(records.as_array().unwrap().len(), 1);
    assert_eq!((&records[0]["status"], &records[0]["project"]), (&json!("success"), &json!("Another Shop")));
    let listed = running.payshack(&running.login().await, PAYINS).await.json::<Value>().await.unwrap();
    assert_eq!(listed["data"]["totalRecords"], json!(2));
    let truth = running.control("truth").await;
    assert_eq!((&truth["payshack"]["payin"]["count"], &truth["payshack"]["payin"]["distinct"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn a_change_by_hand_moves_an_operation_to_the_newest_update_id() {
    let running = Running::with(&["--discrepancies", "0"]).await;
    let open = running.operations("status=in_process&project=91game").await[0].clone();
    let newest = running.operations("descending=true&from_operation_update_id=0&count=1").await;
    let newest = newest[0]["operation_update_id"].as_str().unwrap();
    let path = format!("vima/operations/{}", open["operation_id"].as_str().unwrap());
    running.patch(&path, &json!({"status": "success", "amount": "77.70"})).await;
    let changed = running.operations(&format!("from_operation_update_id={newest}")).await;
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["operation_create_id"], open["operation_create_id"]);
    assert_eq!((&changed[0]["current_status"], &changed[0]["complete_amount"]), (&json!("success"), &json!(77.7)));
    let truth = running.control("truth").await;
    assert_eq!(truth["discrepancies"]["status"]["count"], json!(1));
    assert_eq!(truth["discrepancies"]["amount"]["count"], json!(1));
    let payins = running.control("truth/records?source=payshack").await;
    let key = &truth["discrepancies"]["status"]["keys"][0];
    let twin = payins.as_array().unwrap().iter().find(|payin| payin["key"] == *key).unwrap();
    let path = format!("payshack/payins/{}", twin["source_id"].as_str().unwrap());
    running.patch(&path, &json!({"status": "Success", "amount": "77.70"})).await;
    let truth = running.control("truth").await;
    assert_eq!(truth["discrepancies"]["status"]["count"], json!(0));
    assert_eq!(truth["discrepancies"]["amount"]["count"], json!(0));
}

#[tokio::test]
async fn payments_are_made_and_changed_on_request_and_stand_still_otherwise() {
    let running = Running::with(&["--per-day", "0", "--discrepancies", "0"]).await;
    let made = running.post("live", &json!({"create": 20})).await;
    assert_eq!(made["created"].as_array().unwrap().len(), 20);
    assert!(made["created"].as_array().unwrap().iter().all(|pair| pair["vima"]["status"] == "pending"));
    let changed = running.post("live", &json!({"change": 20})).await;
    assert_eq!(changed["changed"].as_array().unwrap().len(), 20);
    assert!(running.operations("").await.iter().all(|operation| operation["operation_modified_at"] != Value::Null));
    let refunded = running.post("live", &json!({"change": 1})).await;
    assert_eq!(refunded["changed"][0]["payshack"]["status"], json!("refunded"));
    let before = running.control("truth").await;
    assert_eq!(before["discrepancies"]["status"]["count"], json!(1));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running.control("truth").await, before);
}

#[tokio::test]
async fn the_live_stream_flows_at_its_rate() {
    let running = Running::with(&["--per-day", "0"]).await;
    running.put("live", &json!({"per_second": 200})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.put("live", &json!({"per_second": 0})).await;
    let count = running.control("truth").await["vima"]["payin"]["count"].as_u64().unwrap();
    assert!((80..260).contains(&count), "{count}");
}

#[tokio::test]
async fn requests_are_counted_without_the_key() {
    let running = Running::with(&[]).await;
    running.vima("count=1").await;
    running.vima("count=999").await;
    let requests = running.control("requests?last=1").await;
    assert_eq!(requests["answered"]["/vima/operation"], json!({"200": 1, "400": 1}));
    assert_eq!(requests["recent"][0]["query"], json!("count=999"));
    running.client.delete(format!("{}/sandbox/requests", running.url)).send().await.unwrap();
    assert_eq!(running.control("requests").await["total"], json!(0));
}

#[tokio::test]
async fn a_wrong_setting_is_refused_with_the_reason() {
    let running = Running::with(&[]).await;
    let wrong = json!({"vima_cursor": "sideways"});
    let url = format!("{}/sandbox/switches", running.url);
    let answer = running.client.put(url).json(&wrong).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.json::<Value>().await.unwrap()["error"].as_str().unwrap().contains("inclusive"));
}

#[tokio::test]
async fn who_takes_part_is_planted_changed_and_taken_away() {
    let running = Running::with(&[]).await;
    let session = running.login().await;
    let clients = async || {
        let path = "indigate-core-svc/api/v1/client/fetch-all-client";
        running.payshack(&session, path).await.text().await.unwrap()
    };
    let url = |path: &str| format!("{}/sandbox/payshack/clients{path}", running.url);
    let planted = r#"{"_id": 77, "balance": 100.10000000000000000001}"#;
    assert_eq!(running.client.post(url("")).body(planted).send().await.unwrap().status(), 201);
    assert!(clients().await.contains(planted), "byte for byte");
    let change = r#"{"walletBalance": "5.50"}"#;
    assert_eq!(running.client.patch(url("/77")).body(change).send().await.unwrap().status(), 200);
    let changed = clients().await;
    assert!(changed.contains("100.10000000000000000001") && changed.contains(r#""walletBalance":"5.50""#), "{changed}");
    assert_eq!(running.client.delete(url("/77")).send().await.unwrap().status(), 200);
    assert!(!clients().await.contains("5.50"));
    assert_eq!(running.client.delete(url("/77")).send().await.unwrap().status(), 404);
    let nowhere = format!("{}/sandbox/payshack/strangers", running.url);
    assert_eq!(running.client.post(nowhere).body("1").send().await.unwrap().status(), 400);
    running.post("payshack/payins", &json!({"txnId": "T1"})).await;
}

#[tokio::test]
async fn the_feed_of_rates_says_what_it_is_told() {
    let running = Running::with(&["--per-day", "0"]).await;
    let latest = async || running.client.get(format!("{}/fx/latest", running.url)).send().await.unwrap();
    assert_eq!(latest().await.json::<Value>().await.unwrap()["base"], json!("USD"));
    for (status, body) in [(200, r#"{"base":"EUR","rates":{"USD":1.10}}"#), (503, "<html>down</html>")] {
        let url = format!("{}/sandbox/fx?status={status}", running.url);
        assert_eq!(running.client.put(url).body(body).send().await.unwrap().status(), 200);
        let answer = latest().await;
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (status, body.to_owned()));
    }
}
