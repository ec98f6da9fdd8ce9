//! The documented calls of both providers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::running::{PAYINS, PAYOUTS, Running};

#[tokio::test]
async fn the_same_seed_and_now_answer_the_same_bytes() {
    let (one, two, other) = (Running::with(&[]).await, Running::with(&[]).await, Running::with(&["--seed", "2"]).await);
    let page =
        async |running: &Running| running.vima("count=100&from_operation_update_id=0").await.bytes().await.unwrap();
    assert_eq!(page(&one).await, page(&two).await);
    assert_ne!(page(&one).await, page(&other).await);
    let payins = async |running: &Running| {
        let answer = running.payshack(&running.login().await, PAYINS).await.json::<Value>().await.unwrap();
        answer["data"].to_string()
    };
    assert_eq!(payins(&one).await, payins(&two).await);
    let truth = async |running: &Running| running.control("truth").await;
    assert_eq!(truth(&one).await, truth(&two).await);
}

#[tokio::test]
async fn an_operation_has_the_documented_fields() {
    let running = Running::with(&[]).await;
    let text = running.vima("count=1&status=success").await.text().await.unwrap();
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
    let open = running.operations("status=in_process").await;
    assert!(!open.is_empty() && open.iter().all(|operation| operation["complete_amount"].is_null()));
}

#[tokio::test]
async fn cursors_may_be_inclusive_and_pages_wrapped_or_too_long() {
    let running = Running::with(&["--switch", "vima_cursor=inclusive"]).await;
    let first = running.operations("count=10&from_operation_update_id=0").await;
    let last = first[9]["operation_update_id"].as_str().unwrap();
    let next = running.operations(&format!("count=10&from_operation_update_id={last}")).await;
    assert_eq!(next[0], first[9]);
    running.put("switches", &json!({"vima_cursor": "exclusive", "vima_page_overrun": 5})).await;
    let next = running.operations(&format!("count=10&from_operation_update_id={last}")).await;
    assert!(next.len() == 15 && next[0] != first[9]);
    running.put("switches", &json!({"vima_envelope": "wrapped", "vima_amounts": "string"})).await;
    let wrapped = running.vima("count=2&status=success").await.json::<Value>().await.unwrap();
    assert!(wrapped["operations"][0]["complete_amount"].is_string());
}

#[tokio::test]
async fn vima_wants_a_key_or_a_user_and_readable_parameters() {
    let running = Running::with(&[]).await;
    let url = format!("{}/vima/operation", running.url);
    let get = || running.client.get(&url);
    assert_eq!(get().send().await.unwrap().status(), 401);
    assert_eq!(get().query(&[("apikey", "wrong")]).send().await.unwrap().status(), 401);
    assert_eq!(get().basic_auth("sandbox", Some("sandbox-password")).send().await.unwrap().status(), 200);
    assert_eq!(running.vima("count=101").await.status(), 400);
    assert_eq!(running.vima("date=yesterday").await.status(), 400);
    let unknown = running.client.get(format!("{}/elsewhere", running.url)).send().await.unwrap();
    assert_eq!(
        (unknown.status().as_u16(), unknown.json::<Value>().await.unwrap()["error"].clone()),
        (404, json!("no such path"))
    );
}

#[tokio::test]
async fn pages_of_payins_add_up_and_single_ones_are_found() {
    let running = Running::with(&["--switch", "payshack_order=oldest"]).await;
    let session = running.login().await;
    let (mut ids, mut page) = (BTreeSet::new(), 1);
    let total = loop {
        let answer = running.payshack(&session, &format!("{PAYINS}?page={page}&limit=50")).await;
        let data = answer.json::<Value>().await.unwrap()["data"].clone();
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
    let single = running.payshack(&session, &path).await.json::<Value>().await.unwrap();
    assert_eq!(single["data"]["transaction"]["txnId"].to_string(), *ids.first().unwrap());
    let order = single["data"]["transaction"]["orderId"].as_str().unwrap().to_owned();
    running.put("switches", &json!({"payshack_single_envelope": "transactions"})).await;
    let same = running.payshack(&session, &format!("{PAYINS}?orderId={order}")).await.json::<Value>().await.unwrap();
    assert_eq!(same["data"]["transactions"][0], single["data"]["transaction"]);
    let refused = running.payshack(&session, &format!("{PAYINS}?limit=101")).await;
    assert_eq!(refused.status(), 200);
    assert_eq!(refused.json::<Value>().await.unwrap()["success"], json!(false));
}

#[tokio::test]
async fn payouts_and_metadata_are_listed_for_the_reseller_alone() {
    let running = Running::with(&[]).await;
    let session = running.login().await;
    let payouts = running.payshack(&session, PAYOUTS).await.json::<Value>().await.unwrap();
    let first = &payouts["data"]["transactions"][0];
    assert_eq!(first["clientName"], "IG Indigate P_Out");
    for list in ["client/fetch-all-client", "reseller/fetch-all-reseller", "service-provider/fetch-all-sp"] {
        let path = format!("indigate-core-svc/api/v1/{list}");
        assert!(running.payshack(&session, &path).await.json::<Value>().await.unwrap()["data"].is_array());
        assert_eq!(running.payshack(&("none".into(), session.1.clone()), &path).await.status(), 401);
        assert_eq!(running.payshack(&(session.0.clone(), "none".into()), &path).await.status(), 403);
    }
}

#[tokio::test]
async fn a_token_expires_and_wrong_credentials_are_counted() {
    let running = Running::with(&["--switch", "payshack_token_seconds=1"]).await;
    assert_eq!(running.login_with("wrong").await.status(), 401);
    let session = running.login().await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let expired = running.payshack(&session, PAYINS).await;
    assert_eq!(expired.status(), 401);
    assert_eq!(expired.json::<Value>().await.unwrap()["message"], "jwt expired");
    let requests = running.control("requests").await;
    assert_eq!(requests["logins"], json!({"accepted": 1, "refused": 1}));
}
