//! A payment is shown with the result of the last reconciliation, and with the counterpart of that result.

use chrono::{DateTime, Days, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::{DiscrepanciesApi, Discrepancy, Payment, day, insert_run, insert_run_as_of, noon};

/// The `reconciliation` of a payment, and the id of its counterpart.
async fn reported(api: &DiscrepanciesApi, id: Uuid) -> (Value, Value) {
    let shown = api.web.get(&format!("/api/v1/transactions/{id}")).await;
    (shown["reconciliation"].clone(), shown["counterpart"]["id"].clone())
}

async fn insert_payment(api: &DiscrepanciesApi, source: &str, key: &str, created_at: DateTime<Utc>) -> Uuid {
    Payment::new(source, key, created_at).insert(api.pool()).await
}

fn pick<const N: usize>(value: &Value, fields: [&str; N]) -> [Value; N] {
    fields.map(|field| value[field].clone())
}

#[tokio::test]
async fn matched_payments_report_each_other_and_later_changes() {
    let api = DiscrepanciesApi::start().await;
    // A pair around midnight belongs to the day of its Vima payment.
    let midnight = day(5).and_hms_opt(0, 0, 0).expect("a time").and_utc();
    let vima = insert_payment(&api, "vima", "order-1", midnight - TimeDelta::minutes(1)).await;
    let payshack = insert_payment(&api, "payshack", "order-1", midnight + TimeDelta::minutes(1)).await;
    for id in [vima, payshack] {
        assert_eq!(reported(&api, id).await.0, Value::Null, "before any run");
    }
    insert_run(api.pool(), day(5)).await;
    assert_eq!(reported(&api, payshack).await.0, Value::Null, "only the day of the PayShack payment was reconciled");
    let run_id = insert_run(api.pool(), day(6)).await;
    for (id, other) in [(vima, payshack), (payshack, vima)] {
        let (reconciliation, counterpart) = reported(&api, id).await;
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
        .execute(api.pool())
        .await
        .expect("the database accepts it");
        for id in [vima, payshack] {
            assert_eq!(reported(&api, id).await.0["changed_since"], changed, "{recorded_at}");
        }
    }
}

#[tokio::test]
async fn payments_outside_every_run_have_no_reconciliation() {
    let api = DiscrepanciesApi::start().await;
    let (pool, at) = (api.pool(), noon(day(5)));
    let late = Payment { ingested_at: noon(day(3)), ..Payment::new("payshack", "late", at) };
    let (vima, late) = (insert_payment(&api, "vima", "late", at).await, late.insert(pool).await);
    let elsewhere = Payment { project: "monetix", ..Payment::new("vima", "elsewhere", at) }.insert(pool).await;
    insert_payment(&api, "payshack", "elsewhere", at).await;
    let payout = Payment { kind: "payout", ..Payment::new("vima", "payout", at) }.insert(pool).await;
    Payment { kind: "payout", ..Payment::new("payshack", "payout", at) }.insert(pool).await;
    let alone = insert_payment(&api, "vima", "alone", at).await;
    insert_run(pool, day(5)).await;
    for (id, why) in [
        (vima, "its counterpart was stored after the run"),
        (late, "it was stored after the run"),
        (elsewhere, "its project is not reconciled"),
        (payout, "pay-outs are not reconciled"),
        (alone, "the run stored no result for it, and it has no counterpart"),
    ] {
        assert_eq!(reported(&api, id).await.0, Value::Null, "{why}");
    }
    assert_eq!(reported(&api, vima).await.1, json!(late), "the current rules would match them");
}

#[tokio::test]
async fn findings_are_reported_with_their_discrepancy() {
    let api = DiscrepanciesApi::start().await;
    let (pool, at) = (api.pool(), noon(day(5)));
    let (vima, payshack) =
        (insert_payment(&api, "vima", "a", at).await, insert_payment(&api, "payshack", "a", at).await);
    let (first, waiting) =
        (insert_payment(&api, "vima", "b", at).await, insert_payment(&api, "payshack", "b", at).await);
    let missing = insert_payment(&api, "payshack", "c", at).await;
    let unmatchable = Payment { key: None, ..Payment::new("vima", "", at) }.insert(pool).await;
    let run_id = insert_run(pool, day(5)).await;
    let differ = Discrepancy {
        vima: Some(vima),
        payshack: Some(payshack),
        ..Discrepancy::in_state(day(5), "a", "acknowledged")
    };
    differ.insert_result(pool, run_id).await;
    let differ = differ.insert(pool, run_id).await;
    let alone = Discrepancy { vima: None, payshack: Some(missing), ..Discrepancy::new(day(5), "c") };
    let alone = Discrepancy { match_status: "missing_vima", types: &["missing"], ..alone };
    alone.insert_result(pool, run_id).await;
    let alone = alone.insert(pool, run_id).await;
    for (match_status, vima, payshack) in
        [("pending", Some(first), Some(waiting)), ("unmatchable", Some(unmatchable), None)]
    {
        Discrepancy { match_status, types: &[], vima, payshack, ..Discrepancy::new(day(5), "b") }
            .insert_result(pool, run_id)
            .await;
    }

    let (amount, none) = (json!("amount"), Value::Null);
    for (id, match_status, kind, other, discrepancy_id, state) in [
        (vima, "discrepancy", &amount, json!(payshack), json!(differ), json!("acknowledged")),
        (payshack, "discrepancy", &amount, json!(vima), json!(differ), json!("acknowledged")),
        (first, "pending", &none, json!(waiting), none.clone(), none.clone()),
        (waiting, "pending", &none, json!(first), none.clone(), none.clone()),
        (missing, "missing_vima", &json!("missing"), none.clone(), json!(alone), json!("open")),
        (unmatchable, "unmatchable", &none, none.clone(), none.clone(), none.clone()),
    ] {
        let (reconciliation, counterpart) = reported(&api, id).await;
        let fields = ["match_status", "discrepancy_type", "counterpart_id", "discrepancy_id", "state", "details"];
        let expected = [json!(match_status), kind.clone(), other.clone(), discrepancy_id, state, json!({"why": "so"})];
        assert_eq!(pick(&reconciliation, fields), expected, "{reconciliation}");
        assert_eq!(counterpart, other, "{reconciliation}");
    }
}

#[tokio::test]
async fn duplicate_payment_is_reported_and_the_pair_stays_matched() {
    let api = DiscrepanciesApi::start().await;
    let (pool, at) = (api.pool(), noon(day(5)));
    let (vima, payshack) =
        (insert_payment(&api, "vima", "a", at).await, insert_payment(&api, "payshack", "a", at).await);
    // Created after the next midnight, so it belongs to the next day.
    let duplicate = insert_payment(&api, "payshack", "a", at + TimeDelta::hours(13)).await;
    let (first, second) = (insert_run(pool, day(5)).await, insert_run(pool, day(4)).await);
    let surplus =
        Discrepancy { payshack: Some(duplicate), vima: None, types: &["duplicate"], ..Discrepancy::new(day(4), "a") };
    let surplus = Discrepancy { match_status: "duplicate", ..surplus };
    surplus.insert_result(pool, second).await;
    let discrepancy_id = surplus.insert(pool, second).await;

    let (reconciliation, counterpart) = reported(&api, duplicate).await;
    let fields = ["match_status", "run_id", "recon_date", "discrepancy_id", "counterpart_id"];
    let expected = [json!("duplicate"), json!(second), json!(day(4)), json!(discrepancy_id), Value::Null];
    assert_eq!((pick(&reconciliation, fields), counterpart), (expected, Value::Null));
    for (id, other) in [(vima, payshack), (payshack, vima)] {
        let (reconciliation, counterpart) = reported(&api, id).await;
        let expected = [json!("matched"), json!(first), json!(day(5)), Value::Null, json!(other)];
        assert_eq!((pick(&reconciliation, fields), counterpart), (expected, json!(other)));
    }
}

#[tokio::test]
async fn only_the_last_completed_run_of_a_day_counts() {
    let api = DiscrepanciesApi::start().await;
    let (pool, at) = (api.pool(), noon(day(5)));
    let (vima, payshack) =
        (insert_payment(&api, "vima", "a", at).await, insert_payment(&api, "payshack", "a", at).await);
    let first = insert_run(pool, day(5)).await;
    let differ = Discrepancy { vima: Some(vima), payshack: Some(payshack), ..Discrepancy::new(day(5), "a") };
    differ.insert_result(pool, first).await;
    let discrepancy_id =
        Discrepancy { state: "auto_resolved", resolved_at: Some(noon(day(3))), ..differ }.insert(pool, first).await;
    let second = insert_run_as_of(pool, day(5), noon(day(3))).await;
    let failed = insert_run_as_of(pool, day(5), noon(day(2))).await;
    sqlx::query!("UPDATE reconciliation_runs SET status = 'failed', version = NULL WHERE id = $1", failed)
        .execute(pool)
        .await
        .expect("the database accepts it");

    let reconciliation = reported(&api, vima).await.0;
    let fields = ["match_status", "run_id", "discrepancy_id", "state"];
    let expected = [json!("matched"), json!(second), json!(discrepancy_id), json!("auto_resolved")];
    assert_eq!(pick(&reconciliation, fields), expected, "{reconciliation}");
}

#[tokio::test]
async fn counterpart_is_searched_within_the_time_window() {
    let api = DiscrepanciesApi::start().await;
    let at = noon(day(5));
    let vima = insert_payment(&api, "vima", "a", at).await;
    insert_payment(&api, "payshack", "a", at + TimeDelta::hours(25)).await;
    assert_eq!(reported(&api, vima).await.1, Value::Null, "the key was used again a day later");
    let payshack = insert_payment(&api, "payshack", "a", at - Days::new(1)).await;
    assert_eq!(reported(&api, vima).await.1, json!(payshack));
    let narrow = api.system.start_web_with(&[("RECON_WINDOW_HOURS", "1")]).await;
    assert_eq!(narrow.get(&format!("/api/v1/transactions/{vima}")).await["counterpart"], Value::Null);
}
