//! Runs open, close and reopen a discrepancy, and keep what users entered.

use psp_dashboard::clock::{Clock, SystemClock};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::{DiscrepanciesApi, LIST, Payment, day, noon};

/// Changes the amount of a payment, and records the change.
async fn set_amount(api: &DiscrepanciesApi, payshack: Uuid, amount: i64) {
    sqlx::query!("UPDATE transactions SET amount = $2 WHERE id = $1", payshack, Decimal::from(amount))
        .execute(api.pool())
        .await
        .expect("the database accepts it");
    sqlx::query!(
        r#"INSERT INTO transaction_changes (transaction_id, recorded_at, old_status, new_status, old_amount, new_amount)
           VALUES ($1, $2, 'success', 'success', 100, $3)"#,
        payshack,
        SystemClock.now(),
        Decimal::from(amount)
    )
    .execute(api.pool())
    .await
    .expect("the database accepts it");
}

/// Reconciles the day, and returns its only discrepancy.
async fn reconcile(api: &DiscrepanciesApi) -> Value {
    api.system.run_job("reconcile", Some(&json!({"date": day(5)}).to_string()));
    let page = api.web.get(LIST).await;
    assert_eq!(page["total"], 1, "{page}");
    let id = page["items"][0]["id"].as_str().expect("an id").to_owned();
    api.web.get(&format!("{LIST}/{id}")).await
}

/// What the API reports of a payment's reconciliation: match status, run, discrepancy, its state, and `changed_since`.
async fn reported(api: &DiscrepanciesApi, payment: Uuid) -> [Value; 5] {
    let reconciliation = api.web.get(&format!("/api/v1/transactions/{payment}")).await["reconciliation"].clone();
    ["match_status", "run_id", "discrepancy_id", "state", "changed_since"].map(|field| reconciliation[field].clone())
}

#[tokio::test]
async fn assignee_and_note_survive_runs_that_close_and_reopen_a_discrepancy() {
    let api = DiscrepanciesApi::start().await;
    let _worker = api.system.start_jobs(&["worker"]);
    let vima = Payment::new("vima", "order-1", noon(day(5))).insert(api.pool()).await;
    let payshack = Payment::new("payshack", "order-1", noon(day(5))).insert(api.pool()).await;
    set_amount(&api, payshack, 90).await;

    let opened = reconcile(&api).await;
    assert_eq!((&opened["state"], &opened["amount_diff"]), (&json!("open"), &json!("10.00")), "{opened}");
    let sides = ["vima", "payshack"].map(|side| opened[side]["id"].clone());
    assert_eq!(sides, [json!(vima), json!(payshack)], "{opened}");
    let found = [json!("discrepancy"), opened["run_id"].clone(), opened["id"].clone(), json!("open"), json!(false)];
    assert_eq!(reported(&api, vima).await, found);

    let id: Uuid = opened["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    api.update(id, json!({"state": "resolved", "assignee": "ada", "note": "a fee of ten"})).await;
    let again = reconcile(&api).await;
    assert_eq!(again["state"], "resolved", "the payments have not changed: {again}");
    assert_ne!(again["run_id"], opened["run_id"], "but the new run found it");

    set_amount(&api, payshack, 80).await;
    assert_eq!(reported(&api, vima).await[3..], [json!("resolved"), json!(true)]);
    let reopened = reconcile(&api).await;
    assert_eq!((&reopened["state"], &reopened["resolved_at"]), (&json!("open"), &Value::Null), "{reopened}");
    assert_eq!((&reopened["assignee"], &reopened["note"]), (&json!("ada"), &json!("a fee of ten")), "{reopened}");

    set_amount(&api, payshack, 100).await;
    let closed = reconcile(&api).await;
    assert_eq!(closed["state"], "auto_resolved", "{closed}");
    let transitions: Vec<[&Value; 3]> = closed["history"]
        .as_array()
        .expect("a history")
        .iter()
        .map(|change| ["from_state", "to_state", "changed_by"].map(|field| &change[field]))
        .collect();
    let (open, resolved, none) = (&json!("open"), &json!("resolved"), &Value::Null);
    let expected = [
        [none, open, none],
        [open, resolved, &json!("otto")],
        [resolved, open, none],
        [open, &json!("auto_resolved"), none],
    ];
    assert_eq!(transitions, expected, "{closed}");
    let facts = [&closed["history"][2]["from_facts"], &closed["history"][2]["to_facts"]];
    assert_eq!(facts.map(|facts| &facts["payshack_amount"]), [&json!("90"), &json!("80")], "{closed}");
    let [match_status, run_id, discrepancy_id, state, changed_since] = reported(&api, payshack).await;
    assert_eq!(
        (match_status, discrepancy_id),
        (json!("matched"), json!(id)),
        "by the last run, which no longer finds it"
    );
    assert_ne!(run_id, closed["run_id"], "the discrepancy keeps the run that last found it");
    assert_eq!((state, changed_since), (json!("auto_resolved"), json!(false)));
}
