//! The documented endpoints of both providers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{PAYINS, PAYOUTS, TestSandbox};

#[tokio::test]
async fn same_seed_and_now_give_identical_bytes() {
    let (one, two, other) =
        (TestSandbox::with(&[]).await, TestSandbox::with(&[]).await, TestSandbox::with(&["--seed", "2"]).await);
    let page =
        async |sandbox: &TestSandbox| sandbox.vima("count=100&from_operation_update_id=0").await.bytes().await.unwrap();
    assert_eq!(page(&one).await, page(&two).await);
    assert_ne!(page(&one).await, page(&other).await);
    let payins = async |sandbox: &TestSandbox| {
        let response = sandbox.payshack(&sandbox.login().await, PAYINS).await.json::<Value>().await.unwrap();
        response["data"].to_string()
    };
    assert_eq!(payins(&one).await, payins(&two).await);
    let truth = async |sandbox: &TestSandbox| sandbox.control("truth").await;
    assert_eq!(truth(&one).await, truth(&two).await);
}

#[tokio::test]
async fn operation_has_the_documented_fields() {
    let sandbox = TestSandbox::with(&[]).await;
    let text = sandbox.vima("count=1&status=success").await.text().await.unwrap();
    let amount = text.split("\"complete_amount\":").nth(1).unwrap().split(',').next().unwrap();
    assert_eq!(amount.split('.').nth(1).map(str::len), Some(8), "{amount}");
    let operation = &serde_json::from_str::<Value>(&text).unwrap()[0];
    for field in [
        "operation_id",
        "reference_id",
        "project",
        "user_id",
        "contact",
        "create_params",
        "current_status",
        "operation_created_at",
        "operation_modified_at",
        "card_start",
        "card_finish",
        "complete_currency",
        "complete_created_at",
        "operation_create_id",
        "operation_update_id",
        "payment_custom_data",
    ] {
        assert!(!operation[field].is_null(), "{field}");
    }
    assert_eq!(operation["create_params"]["params"]["payment"]["amount"]["currency"], operation["complete_currency"]);
    let open = sandbox.operations("status=in_process").await;
    assert!(!open.is_empty() && open.iter().all(|operation| operation["complete_amount"].is_null()));
}

#[tokio::test]
async fn switches_change_cursors_envelopes_and_page_lengths() {
    let sandbox = TestSandbox::with(&["--switch", "vima_cursor=inclusive"]).await;
    let first = sandbox.operations("count=10&from_operation_update_id=0").await;
    let last = first[9]["operation_update_id"].as_str().unwrap();
    let next = sandbox.operations(&format!("count=10&from_operation_update_id={last}")).await;
    assert_eq!(next[0], first[9]);
    sandbox.put("switches", &json!({"vima_cursor": "exclusive", "vima_page_overrun": 5})).await;
    let next = sandbox.operations(&format!("count=10&from_operation_update_id={last}")).await;
    assert!(next.len() == 15 && next[0] != first[9]);
    sandbox.put("switches", &json!({"vima_envelope": "wrapped", "vima_amounts": "string"})).await;
    let wrapped = sandbox.vima("count=2&status=success").await.json::<Value>().await.unwrap();
    assert!(wrapped["operations"][0]["complete_amount"].is_string());
}

#[tokio::test]
async fn vima_requires_credentials_and_valid_parameters() {
    let sandbox = TestSandbox::with(&[]).await;
    let url = format!("{}/vima/operation", sandbox.url);
    let get = || sandbox.client.get(&url);
    assert_eq!(get().send().await.unwrap().status(), 401);
    assert_eq!(get().query(&[("apikey", "wrong")]).send().await.unwrap().status(), 401);
    assert_eq!(get().basic_auth("sandbox", Some("sandbox-password")).send().await.unwrap().status(), 200);
    assert_eq!(sandbox.vima("count=101").await.status(), 400);
    assert_eq!(sandbox.vima("date=yesterday").await.status(), 400);
    let unknown = sandbox.client.get(format!("{}/elsewhere", sandbox.url)).send().await.unwrap();
    assert_eq!(
        (unknown.status().as_u16(), unknown.json::<Value>().await.unwrap()["error"].clone()),
        (404, json!("no such path"))
    );
}

#[tokio::test]
async fn payins_are_paged_and_found_by_id() {
    let sandbox = TestSandbox::with(&["--switch", "payshack_order=oldest"]).await;
    let session = sandbox.login().await;
    let (mut ids, mut page) = (BTreeSet::new(), 1);
    let total = loop {
        let response = sandbox.payshack(&session, &format!("{PAYINS}?page={page}&limit=50")).await;
        let data = response.json::<Value>().await.unwrap()["data"].clone();
        let found = data["transactions"].as_array().unwrap().clone();
        ids.extend(found.iter().map(|payin| payin["txnId"].to_string()));
        page += 1;
        if found.is_empty() {
            break data["totalRecords"].as_u64().unwrap();
        }
    };
    assert!(total > 100);
    assert_eq!(ids.len() as u64, total);
    let path = format!("{PAYINS}?transactionId={}", ids.first().unwrap().trim_matches('"'));
    let single = sandbox.payshack(&session, &path).await.json::<Value>().await.unwrap();
    assert_eq!(single["data"]["transaction"]["txnId"].to_string(), *ids.first().unwrap());
    let order = single["data"]["transaction"]["orderId"].as_str().unwrap().to_owned();
    sandbox.put("switches", &json!({"payshack_single_envelope": "transactions"})).await;
    let same = sandbox.payshack(&session, &format!("{PAYINS}?orderId={order}")).await.json::<Value>().await.unwrap();
    assert_eq!(same["data"]["transactions"][0], single["data"]["transaction"]);
    let refused = sandbox.payshack(&session, &format!("{PAYINS}?limit=101")).await;
    assert_eq!(refused.status(), 200);
    assert_eq!(refused.json::<Value>().await.unwrap()["success"], json!(false));
}

#[tokio::test]
async fn payouts_and_metadata_require_the_token_and_the_reseller_id() {
    let sandbox = TestSandbox::with(&[]).await;
    let session = sandbox.login().await;
    let payouts = sandbox.payshack(&session, PAYOUTS).await.json::<Value>().await.unwrap();
    let first = &payouts["data"]["transactions"][0];
    assert_eq!(first["clientName"], "IG Indigate P_Out");
    for list in ["client/fetch-all-client", "reseller/fetch-all-reseller", "service-provider/fetch-all-sp"] {
        let path = format!("indigate-core-svc/api/v1/{list}");
        assert!(sandbox.payshack(&session, &path).await.json::<Value>().await.unwrap()["data"].is_array());
        assert_eq!(sandbox.payshack(&("none".into(), session.1.clone()), &path).await.status(), 401);
        assert_eq!(sandbox.payshack(&(session.0.clone(), "none".into()), &path).await.status(), 403);
    }
}

#[tokio::test]
async fn tokens_expire_and_failed_logins_are_counted() {
    let sandbox = TestSandbox::with(&["--switch", "payshack_token_seconds=1"]).await;
    assert_eq!(sandbox.login_with("wrong").await.status(), 401);
    let session = sandbox.login().await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let expired = sandbox.payshack(&session, PAYINS).await;
    assert_eq!(expired.status(), 401);
    assert_eq!(expired.json::<Value>().await.unwrap()["message"], "jwt expired");
    let requests = sandbox.control("requests").await;
    assert_eq!(requests["logins"], json!({"accepted": 1, "refused": 1}));
}
