//! A case lives across runs: what people said of it stays, and runs open, close and reopen it.

use psp_dashboard::clock::{Clock, SystemClock};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::seed::{Desk, LIST, Payment, day, noon};

async fn pays(desk: &Desk, payshack: Uuid, amount: i64) {
    sqlx::query!("UPDATE transactions SET amount = $2 WHERE id = $1", payshack, Decimal::from(amount))
        .execute(desk.pool())
        .await
        .expect("the database takes it");
    sqlx::query!(
        r#"INSERT INTO transaction_changes (transaction_id, recorded_at, old_status, new_status, old_amount, new_amount)
           VALUES ($1, $2, 'success', 'success', 100, $3)"#,
        payshack,
        SystemClock.now(),
        Decimal::from(amount)
    )
    .execute(desk.pool())
    .await
    .expect("the database takes it");
}

/// The only case, after the day was reconciled again.
async fn reconciled(desk: &Desk) -> Value {
    desk.system.run_job("reconcile", Some(&json!({"date": day(5)}).to_string()));
    let page = desk.web.get(LIST).await;
    assert_eq!(page["total"], 1, "{page}");
    let id = page["items"][0]["id"].as_str().expect("an id").to_owned();
    desk.web.get(&format!("{LIST}/{id}")).await
}

async fn told(desk: &Desk, payment: Uuid) -> [Value; 5] {
    let shown = desk.web.get(&format!("/api/v1/transactions/{payment}")).await["reconciliation"].clone();
    ["match_status", "run_id", "discrepancy_id", "state", "changed_since"].map(|field| shown[field].clone())
}

#[tokio::test]
async fn what_people_said_of_a_case_stays_while_runs_come_and_go() {
    let desk = Desk::open().await;
    let _worker = desk.system.start_jobs(&["worker"]);
    let vima = Payment::new("vima", "order-1", noon(day(5))).keep(desk.pool()).await;
    let payshack = Payment::new("payshack", "order-1", noon(day(5))).keep(desk.pool()).await;
    pays(&desk, payshack, 90).await;

    let opened = reconciled(&desk).await;
    assert_eq!((&opened["state"], &opened["amount_diff"]), (&json!("open"), &json!("10.00")), "{opened}");
    let sides = ["vima", "payshack"].map(|side| opened[side]["id"].clone());
    assert_eq!(sides, [json!(vima), json!(payshack)], "{opened}");
    let found = [json!("discrepancy"), opened["run_id"].clone(), opened["id"].clone(), json!("open"), json!(false)];
    assert_eq!(told(&desk, vima).await, found);

    let id: Uuid = opened["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    desk.moved(id, json!({"state": "resolved", "assignee": "ada", "note": "a fee of ten"})).await;
    let again = reconciled(&desk).await;
    assert_eq!(again["state"], "resolved", "nothing has changed: {again}");
    assert_ne!(again["run_id"], opened["run_id"], "but it was found");

    pays(&desk, payshack, 80).await;
    assert_eq!(told(&desk, vima).await[3..], [json!("resolved"), json!(true)]);
    let reopened = reconciled(&desk).await;
    assert_eq!((&reopened["state"], &reopened["resolved_at"]), (&json!("open"), &Value::Null), "{reopened}");
    assert_eq!((&reopened["assignee"], &reopened["note"]), (&json!("ada"), &json!("a fee of ten")), "{reopened}");

    pays(&desk, payshack, 100).await;
    let closed = reconciled(&desk).await;
    assert_eq!(closed["state"], "auto_resolved", "{closed}");
    let moves: Vec<[&Value; 3]> = closed["history"]
        .as_array()
        .expect("a history")
        .iter()
        .map(|change| ["from_state", "to_state", "changed_by"].map(|field| &change[field]))
        .collect();
    let (open, resolved, nobody) = (&json!("open"), &json!("resolved"), &Value::Null);
    let expected = [
        [nobody, open, nobody],
        [open, resolved, &json!("otto")],
        [resolved, open, nobody],
        [open, &json!("auto_resolved"), nobody],
    ];
    assert_eq!(moves, expected, "{closed}");
    let facts = [&closed["history"][2]["from_facts"], &closed["history"][2]["to_facts"]];
    assert_eq!(facts.map(|facts| &facts["payshack_amount"]), [&json!("90"), &json!("80")], "{closed}");
    let [match_status, run_id, case, state, changed_since] = told(&desk, payshack).await;
    assert_eq!((match_status, case), (json!("matched"), json!(id)), "by the run that no longer finds it");
    assert_ne!(run_id, closed["run_id"], "which is not the one that found it last");
    assert_eq!((state, changed_since), (json!("auto_resolved"), json!(false)));
}
