use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{PAYINS, TestSandbox};

#[tokio::test]
async fn fixture_is_served_byte_for_byte() {
    let sandbox = TestSandbox::with(&["--per-day", "0"]).await;
    let fixture = r#"{"operation_id":"7","operation_update_id":"99999999999999999999","operation_created_at":"2026-01-14T08:00:00Z","complete_amount":12.34000000,"complete_currency":"INR","payment_status":"success","project":"91game"}"#;
    let url = format!("{}/sandbox/vima/operations", sandbox.url);
    let response = sandbox.client.post(&url).body(fixture).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap()["malformed"], json!(false));
    assert_eq!(sandbox.vima("").await.text().await.unwrap(), format!("[{fixture}]"));
    let records = sandbox.control("truth/records?source=vima").await;
    assert_eq!(
        (&records[0]["amount"], &records[0]["version"]),
        (&json!("12.34000000"), &json!("99999999999999999999"))
    );
    for malformed in ["17", "null", r#"{"operation_id":"8"}"#] {
        let response = sandbox.client.post(&url).body(malformed).send().await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap()["malformed"], json!(true));
    }
    assert_eq!(sandbox.operations("from_operation_update_id=99999999999999999999").await.len(), 3);
    let truth = sandbox.control("truth").await;
    assert_eq!((&truth["vima"]["payin"]["count"], &truth["vima"]["payin"]["malformed"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn ground_truth_has_the_newest_version_of_a_fixture() {
    let sandbox = TestSandbox::with(&["--per-day", "0"]).await;
    for (status, modified) in [("Success", "2026-01-14T09:00:00Z"), ("Pending", "2026-01-14T08:30:00Z")] {
        let payin = json!({"txnId": "T1", "orderId": "O1", "amount": "5.50", "txnStatus": status,
            "clientName": "Another Shop", "createdAt": "2026-01-14T08:00:00Z", "modifiedAt": modified});
        sandbox.post("payshack/payins", &payin).await;
    }
    let records = sandbox.control("truth/records?source=payshack").await;
    assert_eq!(records.as_array().unwrap().len(), 1);
    assert_eq!((&records[0]["status"], &records[0]["project"]), (&json!("success"), &json!("Another Shop")));
    let listed = sandbox.payshack(&sandbox.login().await, PAYINS).await.json::<Value>().await.unwrap();
    assert_eq!(listed["data"]["totalRecords"], json!(2));
    let truth = sandbox.control("truth").await;
    assert_eq!((&truth["payshack"]["payin"]["count"], &truth["payshack"]["payin"]["distinct"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn changed_operation_gets_the_newest_update_id() {
    let sandbox = TestSandbox::with(&["--discrepancies", "0"]).await;
    let open = sandbox.operations("status=in_process&project=91game").await[0].clone();
    let newest = sandbox.operations("descending=true&from_operation_update_id=0&count=1").await;
    let newest = newest[0]["operation_update_id"].as_str().unwrap();
    let path = format!("vima/operations/{}", open["operation_id"].as_str().unwrap());
    sandbox.patch(&path, &json!({"status": "success", "amount": "77.70"})).await;
    let changed = sandbox.operations(&format!("from_operation_update_id={newest}")).await;
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["operation_create_id"], open["operation_create_id"]);
    assert_eq!((&changed[0]["current_status"], &changed[0]["complete_amount"]), (&json!("success"), &json!(77.7)));
    let truth = sandbox.control("truth").await;
    assert_eq!(truth["discrepancies"]["status"]["count"], json!(1));
    assert_eq!(truth["discrepancies"]["amount"]["count"], json!(1));
    let payins = sandbox.control("truth/records?source=payshack").await;
    let key = &truth["discrepancies"]["status"]["keys"][0];
    let payin = payins.as_array().unwrap().iter().find(|payin| payin["key"] == *key).unwrap();
    let path = format!("payshack/payins/{}", payin["source_id"].as_str().unwrap());
    sandbox.patch(&path, &json!({"status": "Success", "amount": "77.70"})).await;
    let truth = sandbox.control("truth").await;
    assert_eq!(truth["discrepancies"]["status"]["count"], json!(0));
    assert_eq!(truth["discrepancies"]["amount"]["count"], json!(0));
}

#[tokio::test]
async fn payments_are_created_and_changed_only_on_request() {
    let sandbox = TestSandbox::with(&["--per-day", "0", "--discrepancies", "0"]).await;
    let created = sandbox.post("live", &json!({"create": 20})).await;
    assert_eq!(created["created"].as_array().unwrap().len(), 20);
    assert!(created["created"].as_array().unwrap().iter().all(|pair| pair["vima"]["status"] == "pending"));
    let changed = sandbox.post("live", &json!({"change": 20})).await;
    assert_eq!(changed["changed"].as_array().unwrap().len(), 20);
    assert!(sandbox.operations("").await.iter().all(|operation| operation["operation_modified_at"] != Value::Null));
    let refunded = sandbox.post("live", &json!({"change": 1})).await;
    assert_eq!(refunded["changed"][0]["payshack"]["status"], json!("refunded"));
    let before = sandbox.control("truth").await;
    assert_eq!(before["discrepancies"]["status"]["count"], json!(1));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sandbox.control("truth").await, before);
}

#[tokio::test]
async fn live_stream_creates_payments_at_its_rate() {
    let sandbox = TestSandbox::with(&["--per-day", "0"]).await;
    sandbox.put("live", &json!({"per_second": 200})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    sandbox.put("live", &json!({"per_second": 0})).await;
    let count = sandbox.control("truth").await["vima"]["payin"]["count"].as_u64().unwrap();
    assert!((80..260).contains(&count), "{count}");
}

#[tokio::test]
async fn requests_are_logged_without_the_api_key() {
    let sandbox = TestSandbox::with(&[]).await;
    sandbox.vima("count=1").await;
    sandbox.vima("count=999").await;
    let requests = sandbox.control("requests?last=1").await;
    assert_eq!(requests["answered"]["/vima/operation"], json!({"200": 1, "400": 1}));
    assert_eq!(requests["recent"][0]["query"], json!("count=999"));
    sandbox.client.delete(format!("{}/sandbox/requests", sandbox.url)).send().await.unwrap();
    assert_eq!(sandbox.control("requests").await["total"], json!(0));
}

#[tokio::test]
async fn invalid_switch_is_rejected_with_the_reason() {
    let sandbox = TestSandbox::with(&[]).await;
    let invalid = json!({"vima_cursor": "sideways"});
    let url = format!("{}/sandbox/switches", sandbox.url);
    let response = sandbox.client.put(url).json(&invalid).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.json::<Value>().await.unwrap()["error"].as_str().unwrap().contains("inclusive"));
}

#[tokio::test]
async fn metadata_rows_are_inserted_changed_and_removed() {
    let sandbox = TestSandbox::with(&[]).await;
    let session = sandbox.login().await;
    let clients = async || {
        let path = "indigate-core-svc/api/v1/client/fetch-all-client";
        sandbox.payshack(&session, path).await.text().await.unwrap()
    };
    let url = |path: &str| format!("{}/sandbox/payshack/clients{path}", sandbox.url);
    let fixture = r#"{"_id": 77, "balance": 100.10000000000000000001}"#;
    assert_eq!(sandbox.client.post(url("")).body(fixture).send().await.unwrap().status(), 201);
    assert!(clients().await.contains(fixture), "byte for byte");
    let change = r#"{"walletBalance": "5.50"}"#;
    assert_eq!(sandbox.client.patch(url("/77")).body(change).send().await.unwrap().status(), 200);
    let changed = clients().await;
    assert!(changed.contains("100.10000000000000000001") && changed.contains(r#""walletBalance":"5.50""#), "{changed}");
    assert_eq!(sandbox.client.delete(url("/77")).send().await.unwrap().status(), 200);
    assert!(!clients().await.contains("5.50"));
    assert_eq!(sandbox.client.delete(url("/77")).send().await.unwrap().status(), 404);
    let unknown_list = format!("{}/sandbox/payshack/strangers", sandbox.url);
    assert_eq!(sandbox.client.post(unknown_list).body("1").send().await.unwrap().status(), 400);
    sandbox.post("payshack/payins", &json!({"txnId": "T1"})).await;
}

#[tokio::test]
async fn exchange_rate_feed_returns_the_configured_response() {
    let sandbox = TestSandbox::with(&["--per-day", "0"]).await;
    let latest = async || sandbox.client.get(format!("{}/fx/latest", sandbox.url)).send().await.unwrap();
    assert_eq!(latest().await.json::<Value>().await.unwrap()["base"], json!("USD"));
    for (status, body) in [(200, r#"{"base":"EUR","rates":{"USD":1.10}}"#), (503, "<html>down</html>")] {
        let url = format!("{}/sandbox/fx?status={status}", sandbox.url);
        assert_eq!(sandbox.client.put(url).body(body).send().await.unwrap().status(), 200);
        let response = latest().await;
        assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (status, body.to_owned()));
    }
}
