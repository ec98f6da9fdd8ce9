//! A payment tells what the last reconciliation found of it, and its counterpart agrees with that.

use chrono::{DateTime, Days, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::seed::{Case, Desk, Payment, day, noon, run, run_as_of};

/// What a payment tells of its reconciliation, and the id of its counterpart.
async fn told(desk: &Desk, id: Uuid) -> (Value, Value) {
    let shown = desk.web.get(&format!("/api/v1/transactions/{id}")).await;
    (shown["reconciliation"].clone(), shown["counterpart"]["id"].clone())
}

async fn payment(desk: &Desk, source: &str, key: &str, created_at: DateTime<Utc>) -> Uuid {
    Payment::new(source, key, created_at).keep(desk.pool()).await
}

fn picked<const N: usize>(value: &Value, fields: [&str; N]) -> [Value; N] {
    fields.map(|field| value[field].clone())
}

#[tokio::test]
async fn a_matched_pair_says_so_on_both_sides_until_it_changes() {
    let desk = Desk::open().await;
    // Split by midnight: it belongs to the day of its Vima row.
    let midnight = day(5).and_hms_opt(0, 0, 0).expect("a time").and_utc();
    let vima = payment(&desk, "vima", "order-1", midnight - TimeDelta::minutes(1)).await;
    let payshack = payment(&desk, "payshack", "order-1", midnight + TimeDelta::minutes(1)).await;
    for id in [vima, payshack] {
        assert_eq!(told(&desk, id).await.0, Value::Null, "no run has looked");
    }
    run(desk.pool(), day(5)).await;
    assert_eq!(told(&desk, payshack).await.0, Value::Null, "nor has that of its own day");
    let run_id = run(desk.pool(), day(6)).await;
    for (id, other) in [(vima, payshack), (payshack, vima)] {
        let (reconciliation, counterpart) = told(&desk, id).await;
        let expected = json!({
            "run_id": run_id, "recon_date": day(6),
            "run_at": noon(day(5)).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true), "match_status": "matched",
            "discrepancy_type": null, "types": [], "counterpart_id": other, "discrepancy_id": null, "state": null,
            "details": null, "changed_since": false,
        });
        assert_eq!((&reconciliation, counterpart), (&expected, json!(other)));
    }
    for (recorded_at, changed) in [(noon(day(5)), false), (noon(day(5)) + TimeDelta::seconds(1), true)] {
        sqlx::query!(
            r#"INSERT INTO transaction_changes
                   (transaction_id, recorded_at, old_status, new_status, old_amount, new_amount)
               VALUES ($1, $2, 'pending', 'success', 100, 100)"#,
            payshack,
            recorded_at
        )
        .execute(desk.pool())
        .await
        .expect("the database takes it");
        for id in [vima, payshack] {
            assert_eq!(told(&desk, id).await.0["changed_since"], changed, "{recorded_at}");
        }
    }
}

#[tokio::test]
async fn what_no_run_has_judged_is_null() {
    let desk = Desk::open().await;
    let (pool, at) = (desk.pool(), noon(day(5)));
    let late = Payment { ingested_at: noon(day(3)), ..Payment::new("payshack", "late", at) };
    let (vima, late) = (payment(&desk, "vima", "late", at).await, late.keep(pool).await);
    let elsewhere = Payment { project: "monetix", ..Payment::new("vima", "elsewhere", at) }.keep(pool).await;
    payment(&desk, "payshack", "elsewhere", at).await;
    let payout = Payment { kind: "payout", ..Payment::new("vima", "payout", at) }.keep(pool).await;
    Payment { kind: "payout", ..Payment::new("payshack", "payout", at) }.keep(pool).await;
    let alone = payment(&desk, "vima", "alone", at).await;
    run(pool, day(5)).await;
    for (id, why) in [
        (vima, "its partner came later"),
        (late, "it came later"),
        (elsewhere, "of a project that is not reconciled"),
        (payout, "pay-outs are not reconciled"),
        (alone, "nothing was said of it, and it has no partner"),
    ] {
        assert_eq!(told(&desk, id).await.0, Value::Null, "{why}");
    }
    assert_eq!(told(&desk, vima).await.1, json!(late), "the rules would hold the two against each other now");
}

#[tokio::test]
async fn what_was_found_is_told_with_its_case() {
    let desk = Desk::open().await;
    let (pool, at) = (desk.pool(), noon(day(5)));
    let (vima, payshack) = (payment(&desk, "vima", "a", at).await, payment(&desk, "payshack", "a", at).await);
    let (first, waiting) = (payment(&desk, "vima", "b", at).await, payment(&desk, "payshack", "b", at).await);
    let missing = payment(&desk, "payshack", "c", at).await;
    let unmatchable = Payment { key: None, ..Payment::new("vima", "", at) }.keep(pool).await;
    let run_id = run(pool, day(5)).await;
    let differ = Case { vima: Some(vima), payshack: Some(payshack), ..Case::in_state(day(5), "a", "acknowledged") };
    differ.found(pool, run_id).await;
    let differ = differ.open(pool, run_id).await;
    let alone = Case { vima: None, payshack: Some(missing), ..Case::new(day(5), "c") };
    let alone = Case { match_status: "missing_vima", types: &["missing"], ..alone };
    alone.found(pool, run_id).await;
    let alone = alone.open(pool, run_id).await;
    for (match_status, vima, payshack) in
        [("pending", Some(first), Some(waiting)), ("unmatchable", Some(unmatchable), None)]
    {
        Case { match_status, types: &[], vima, payshack, ..Case::new(day(5), "b") }.found(pool, run_id).await;
    }

    let (amount, gone) = (json!("amount"), Value::Null);
    for (id, match_status, kind, other, case, state) in [
        (vima, "discrepancy", &amount, json!(payshack), json!(differ), json!("acknowledged")),
        (payshack, "discrepancy", &amount, json!(vima), json!(differ), json!("acknowledged")),
        (first, "pending", &gone, json!(waiting), gone.clone(), gone.clone()),
        (waiting, "pending", &gone, json!(first), gone.clone(), gone.clone()),
        (missing, "missing_vima", &json!("missing"), gone.clone(), json!(alone), json!("open")),
        (unmatchable, "unmatchable", &gone, gone.clone(), gone.clone(), gone.clone()),
    ] {
        let (reconciliation, counterpart) = told(&desk, id).await;
        let fields = ["match_status", "discrepancy_type", "counterpart_id", "discrepancy_id", "state", "details"];
        let expected = [json!(match_status), kind.clone(), other.clone(), case, state, json!({"why": "so"})];
        assert_eq!(picked(&reconciliation, fields), expected, "{reconciliation}");
        assert_eq!(counterpart, other, "{reconciliation}");
    }
}

#[tokio::test]
async fn a_row_too_many_is_told_as_one_and_the_pair_stays_a_pair() {
    let desk = Desk::open().await;
    let (pool, at) = (desk.pool(), noon(day(5)));
    let (vima, payshack) = (payment(&desk, "vima", "a", at).await, payment(&desk, "payshack", "a", at).await);
    // Nearer to the next midnight, and so of the next day.
    let again = payment(&desk, "payshack", "a", at + TimeDelta::hours(13)).await;
    let (first, second) = (run(pool, day(5)).await, run(pool, day(4)).await);
    let surplus = Case { payshack: Some(again), vima: None, types: &["duplicate"], ..Case::new(day(4), "a") };
    let surplus = Case { match_status: "duplicate", ..surplus };
    surplus.found(pool, second).await;
    let case = surplus.open(pool, second).await;

    let (reconciliation, counterpart) = told(&desk, again).await;
    let fields = ["match_status", "run_id", "recon_date", "discrepancy_id", "counterpart_id"];
    let expected = [json!("duplicate"), json!(second), json!(day(4)), json!(case), Value::Null];
    assert_eq!((picked(&reconciliation, fields), counterpart), (expected, Value::Null));
    for (id, other) in [(vima, payshack), (payshack, vima)] {
        let (reconciliation, counterpart) = told(&desk, id).await;
        let expected = [json!("matched"), json!(first), json!(day(5)), Value::Null, json!(other)];
        assert_eq!((picked(&reconciliation, fields), counterpart), (expected, json!(other)));
    }
}

#[tokio::test]
async fn the_last_completed_run_of_a_day_alone_counts() {
    let desk = Desk::open().await;
    let (pool, at) = (desk.pool(), noon(day(5)));
    let (vima, payshack) = (payment(&desk, "vima", "a", at).await, payment(&desk, "payshack", "a", at).await);
    let first = run(pool, day(5)).await;
    let differ = Case { vima: Some(vima), payshack: Some(payshack), ..Case::new(day(5), "a") };
    differ.found(pool, first).await;
    let case = Case { state: "auto_resolved", resolved_at: Some(noon(day(3))), ..differ }.open(pool, first).await;
    let second = run_as_of(pool, day(5), noon(day(3))).await;
    let failed = run_as_of(pool, day(5), noon(day(2))).await;
    sqlx::query!("UPDATE reconciliation_runs SET status = 'failed', version = NULL WHERE id = $1", failed)
        .execute(pool)
        .await
        .expect("the database takes it");

    let reconciliation = told(&desk, vima).await.0;
    let fields = ["match_status", "run_id", "discrepancy_id", "state"];
    let expected = [json!("matched"), json!(second), json!(case), json!("auto_resolved")];
    assert_eq!(picked(&reconciliation, fields), expected, "{reconciliation}");
}

#[tokio::test]
async fn a_counterpart_is_within_the_window() {
    let desk = Desk::open().await;
    let at = noon(day(5));
    let vima = payment(&desk, "vima", "a", at).await;
    payment(&desk, "payshack", "a", at + TimeDelta::hours(25)).await;
    assert_eq!(told(&desk, vima).await.1, Value::Null, "a key that was used again");
    let payshack = payment(&desk, "payshack", "a", at - Days::new(1)).await;
    assert_eq!(told(&desk, vima).await.1, json!(payshack));
    let wide = desk.system.start_web_with(&[("RECON_WINDOW_HOURS", "1")]).await;
    assert_eq!(wide.get(&format!("/api/v1/transactions/{vima}")).await["counterpart"], Value::Null);
}
