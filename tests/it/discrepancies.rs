//! Discrepancies over HTTP: listed, shown, updated, and reported with each payment.

mod across_runs;
mod findings;
mod fixture;
mod updates;

use psp_dashboard::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web, items};
use fixture::{DiscrepanciesApi, Discrepancy, LIST, Payment, day, insert_run, noon};

/// Inserts six discrepancies with the keys a to f over three days, and a run for each.
async fn insert_six(system: &TestSystem) {
    let (recent, middle, old) = (day(2), day(10), day(40));
    let missing = |state, key, day| Discrepancy { types: &["missing"], ..Discrepancy::in_state(day, key, state) };
    for discrepancy in [
        Discrepancy::new(recent, "a"),
        Discrepancy {
            types: &["amount", "status"],
            project: "monetix",
            amounts: (Some(100.into()), Some("350.50".parse().expect("a decimal"))),
            assignee: Some("otto"),
            ..Discrepancy::in_state(recent, "b", "acknowledged")
        },
        Discrepancy {
            types: &["status"],
            amounts: (Some(100.into()), Some(100.into())),
            assignee: Some("ada"),
            ..Discrepancy::in_state(middle, "c", "resolved")
        },
        Discrepancy {
            match_status: "missing_vima",
            vima: None,
            amounts: (None, Some(90.into())),
            ..missing("open", "d", middle)
        },
        Discrepancy {
            match_status: "missing_payshack",
            payshack: None,
            amounts: (Some(100.into()), None),
            ..missing("ignored", "e", old)
        },
        Discrepancy {
            match_status: "duplicate",
            types: &["duplicate"],
            payshack: None,
            amounts: (Some(100.into()), None),
            assignee: Some("otto"),
            ..Discrepancy::in_state(old, "f", "auto_resolved")
        },
    ] {
        let run_id = insert_run(&system.pool, discrepancy.recon_date).await;
        discrepancy.insert(&system.pool, run_id).await;
    }
}

/// The keys of a page, concatenated.
fn keys(page: &Value) -> String {
    items(page).iter().map(|item| item["client_operation_id"].as_str().expect("a key")).collect()
}

#[tokio::test]
async fn discrepancies_are_filtered_and_listed_newest_first() {
    let api = DiscrepanciesApi::start().await;
    insert_six(&api.system).await;
    let middle = day(10);
    for (query, expected) in [
        ("", "badcfe"),
        ("match_status=discrepancy", "bac"),
        ("match_status=missing_vima,missing_payshack", "de"),
        ("match_status=duplicate", "f"),
        ("discrepancy_type=amount", "ba"),
        ("discrepancy_type=status", "c"),
        ("discrepancy_type=missing", "de"),
        ("discrepancy_type=duplicate", "f"),
        ("type=discrepancy", "bac"),
        ("type=missing_vima", "d"),
        ("type=amount,duplicate", "baf"),
        ("state=open", "ad"),
        ("state=open,acknowledged", "bad"),
        ("state=open,resolved", "adc"),
        ("state=resolved,ignored,auto_resolved", "cfe"),
        ("project=monetix", "b"),
        ("assignee=otto", "bf"),
        ("assignee=otto,ada", "bcf"),
        ("min_diff=10", "ba"),
        ("min_diff=10.01", "b"),
        ("older_than_days=20", "fe"),
        ("older_than_days=36500", ""),
        (&format!("from_date={middle}"), "badc"),
        (&format!("to_date={middle}"), "dcfe"),
        (&format!("from_date={middle}&to_date={middle}"), "dc"),
        ("state=open&match_status=missing_vima", "d"),
        ("state=open&assignee=otto", ""),
    ] {
        let page = api.web.get(&format!("{LIST}?{query}")).await;
        assert_eq!(keys(&page), expected, "{query}");
        assert_eq!(page["total"], expected.len(), "{query}");
        assert_eq!(page["total_relation"], "exact", "{query}");
    }
}

#[tokio::test]
async fn invalid_filters_are_rejected_with_the_allowed_values() {
    let api = DiscrepanciesApi::start().await;
    for (query, message) in [
        ("state=closed", "open, acknowledged, resolved, ignored, auto_resolved"),
        ("match_status=matched", "discrepancy, missing_vima, missing_payshack, duplicate"),
        ("discrepancy_type=missing_vima", "amount, status, missing, duplicate"),
        ("type=unmatchable", "amount"),
        ("min_diff=ten", "min_diff"),
        ("older_than_days=36501", "must be from 0 to 36500"),
        ("older_than_days=4294967295", "must be from 0 to 36500"),
        ("older_than_days=-1", "older_than_days"),
        ("from_date=2026-01-02&to_date=2026-01-01", "swap them"),
        ("cursor=forged", "cursor"),
    ] {
        let response = api.request(Method::GET, &format!("{LIST}?{query}"), VIEWER, None).await;
        assert_eq!(response.status, 422, "{query}: {response:?}");
        assert!(response.text.contains(message), "{query}: {response:?}");
    }
}

#[tokio::test]
async fn cursor_pages_skip_and_repeat_nothing_while_discrepancies_are_inserted() {
    let api = DiscrepanciesApi::start().await;
    insert_six(&api.system).await;
    let (mut listed, mut path) = (String::new(), format!("{LIST}?limit=2"));
    for number in 1.. {
        let page = api.web.get(&path).await;
        assert_eq!(page["page"], number);
        listed += &keys(&page);
        Discrepancy::new(day(1), &format!("new-{number}")).insert(api.pool(), Uuid::now_v7()).await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{LIST}?limit=2&cursor={cursor}");
    }
    assert_eq!(listed, "badcfe");
    assert_eq!(keys(&api.web.get(&format!("{LIST}?limit=4&page=2&to_date={}", day(2))).await), "fe");
}

#[tokio::test]
async fn discrepancy_is_shown_with_the_run_that_last_found_it() {
    let api = DiscrepanciesApi::start().await;
    let pool = api.pool();
    let (first, recon_date) = (insert_run(pool, day(5)).await, day(5));
    let discrepancy = Discrepancy::new(recon_date, "order-1");
    let id = discrepancy.insert(pool, first).await;
    let last = fixture::insert_run_as_of(pool, recon_date, noon(day(3))).await;

    let age = || (SystemClock.now().date_naive() - recon_date).num_days();
    let before = age();
    let item = api.web.get(LIST).await["items"][0].clone();
    let age_days = item["age_days"].as_i64().expect("an age");
    assert!((before..=age()).contains(&age_days), "{item}");
    let time = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let expected = json!({
        "id": id, "recon_date": recon_date, "run_id": last, "client_operation_id": "order-1",
        "match_status": "discrepancy", "discrepancy_type": "amount", "types": ["amount"], "project": "91game",
        "vima_txn_id": discrepancy.vima, "payshack_txn_id": discrepancy.payshack, "vima_amount": "100.00", "payshack_amount": "90.00",
        "amount_diff": "10.00", "vima_currency": "INR", "payshack_currency": "INR", "vima_status": "success",
        "payshack_status": null, "state": "open", "assignee": null, "note": null, "first_seen_at": time(noon(day(4))),
        "last_seen_at": time(noon(day(3))), "resolved_at": null, "age_days": age_days, "details": {"why": "so"},
        "created_at": time(noon(day(4))), "etag": "\"1\"",
    });
    assert_eq!(item, expected);

    sqlx::query!("UPDATE discrepancies SET last_run_id = $1, last_seen_at = first_seen_at", first)
        .execute(pool)
        .await
        .expect("the database accepts it");
    let resolved = api.web.get(LIST).await["items"][0].clone();
    assert_eq!(
        (&resolved["run_id"], &resolved["last_seen_at"]),
        (&json!(first), &resolved["first_seen_at"]),
        "the last run no longer finds it"
    );
}

#[tokio::test]
async fn age_of_a_closed_discrepancy_is_fixed_and_counts_days_of_the_zone() {
    let system = TestSystem::start(&[]).await;
    let recon_date = day(30);
    let evening = recon_date.and_hms_opt(20, 0, 0).expect("a valid time").and_utc();
    let closed = Discrepancy { resolved_at: Some(evening), ..Discrepancy::in_state(recon_date, "a", "resolved") };
    closed.insert(&system.pool, Uuid::now_v7()).await;
    for (zone, age) in [("UTC", 0), ("Asia/Kolkata", 1)] {
        let web = system.start_web_with(&[("RECONCILIATION_TIMEZONE", zone)]).await;
        assert_eq!(web.get(LIST).await["items"][0]["age_days"], age, "{zone}");
    }
}

#[tokio::test]
async fn discrepancy_is_shown_with_its_payments_masked_for_viewers() {
    let api = DiscrepanciesApi::start().await;
    let pool = api.pool();
    let vima = Payment::new("vima", "order-1", noon(day(5))).insert(pool).await;
    let discrepancy = Discrepancy { vima: Some(vima), payshack: None, ..Discrepancy::new(day(5), "order-1") };
    let id = discrepancy.insert(pool, Uuid::now_v7()).await;
    let path = format!("{LIST}/{id}");
    for (key, email, phone) in
        [(OPERATOR, "someone@example.com", "9876543341"), (VIEWER, "s***@example.com", "******3341")]
    {
        let shown = api.request(Method::GET, &path, key, None).await.json();
        let payment = ["id", "source", "user_email", "user_phone"].map(|field| shown["vima"][field].clone());
        assert_eq!(payment, [json!(vima), json!("vima"), json!(email), json!(phone)], "{shown}");
        assert_eq!((&shown["payshack"], &shown["history"]), (&Value::Null, &json!([])), "{shown}");
        assert_eq!((&shown["id"], &shown["client_operation_id"]), (&json!(id), &json!("order-1")), "{shown}");
    }
    assert_unknown_ids_are_rejected(&api.web).await;
}

async fn assert_unknown_ids_are_rejected(web: &Web) {
    for (id, status) in [(Uuid::nil().to_string(), 404), ("17".to_owned(), 422)] {
        let response = web.request(Method::GET, &format!("{LIST}/{id}"), Some(VIEWER), None).await;
        assert_eq!(response.expect("the web process responds").status, status, "{id}");
    }
}
