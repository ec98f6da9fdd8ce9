//! The cases of reconciliation as people use them: listed, shown, moved, and told of with each payment.

mod across_runs;
mod findings;
mod moves;
mod seed;

use psp_dashboard::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web};
use seed::{Case, Desk, LIST, Payment, day, noon, run};

/// Six cases of three days, known by their keys; a run of each day.
async fn six_cases(system: &TestSystem) {
    let (recent, middle, old) = (day(2), day(10), day(40));
    let missing = |state, key, day| Case { types: &["missing"], ..Case::in_state(day, key, state) };
    for case in [
        Case::new(recent, "a"),
        Case {
            types: &["amount", "status"],
            project: "monetix",
            amounts: (Some(100.into()), Some("350.50".parse().expect("a decimal"))),
            assignee: Some("otto"),
            ..Case::in_state(recent, "b", "acknowledged")
        },
        Case {
            types: &["status"],
            amounts: (Some(100.into()), Some(100.into())),
            assignee: Some("ada"),
            ..Case::in_state(middle, "c", "resolved")
        },
        Case {
            match_status: "missing_vima",
            vima: None,
            amounts: (None, Some(90.into())),
            ..missing("open", "d", middle)
        },
        Case {
            match_status: "missing_payshack",
            payshack: None,
            amounts: (Some(100.into()), None),
            ..missing("ignored", "e", old)
        },
        Case {
            match_status: "duplicate",
            types: &["duplicate"],
            payshack: None,
            amounts: (Some(100.into()), None),
            assignee: Some("otto"),
            ..Case::in_state(old, "f", "auto_resolved")
        },
    ] {
        let run_id = run(&system.pool, case.recon_date).await;
        case.open(&system.pool, run_id).await;
    }
}

fn keys(page: &Value) -> String {
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["client_operation_id"].as_str().expect("a key")).collect()
}

#[tokio::test]
async fn cases_are_listed_by_what_is_asked_for() {
    let desk = Desk::open().await;
    six_cases(&desk.system).await;
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
        let page = desk.web.get(&format!("{LIST}?{query}")).await;
        assert_eq!(keys(&page), expected, "{query}");
        assert_eq!(page["total"], expected.len(), "{query}");
        assert_eq!(page["total_relation"], "exact", "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_listed_is_refused() {
    let desk = Desk::open().await;
    for (query, told) in [
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
        let answer = desk.asked(Method::GET, &format!("{LIST}?{query}"), VIEWER, None).await;
        assert_eq!(answer.status, 422, "{query}: {answer:?}");
        assert!(answer.text.contains(told), "{query}: {answer:?}");
    }
}

#[tokio::test]
async fn a_walk_neither_skips_nor_repeats_while_cases_are_opened() {
    let desk = Desk::open().await;
    six_cases(&desk.system).await;
    let (mut walked, mut path) = (String::new(), format!("{LIST}?limit=2"));
    for number in 1.. {
        let page = desk.web.get(&path).await;
        assert_eq!(page["page"], number);
        walked += &keys(&page);
        Case::new(day(1), &format!("new-{number}")).open(desk.pool(), Uuid::now_v7()).await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{LIST}?limit=2&cursor={cursor}");
    }
    assert_eq!(walked, "badcfe");
    assert_eq!(keys(&desk.web.get(&format!("{LIST}?limit=4&page=2&to_date={}", day(2))).await), "fe");
}

#[tokio::test]
async fn a_case_is_shown_as_the_last_run_of_its_day_left_it() {
    let desk = Desk::open().await;
    let pool = desk.pool();
    let (first, recon_date) = (run(pool, day(5)).await, day(5));
    let case = Case::new(recon_date, "order-1");
    let id = case.open(pool, first).await;
    let last = seed::run_as_of(pool, recon_date, noon(day(3))).await;

    let age = || (SystemClock.now().date_naive() - recon_date).num_days();
    let before = age();
    let item = desk.web.get(LIST).await["items"][0].clone();
    let age_days = item["age_days"].as_i64().expect("an age");
    assert!((before..=age()).contains(&age_days), "{item}");
    let time = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let expected = json!({
        "id": id, "recon_date": recon_date, "run_id": last, "client_operation_id": "order-1",
        "match_status": "discrepancy", "discrepancy_type": "amount", "types": ["amount"], "project": "91game",
        "vima_txn_id": case.vima, "payshack_txn_id": case.payshack, "vima_amount": "100.00", "payshack_amount": "90.00",
        "amount_diff": "10.00", "vima_currency": "INR", "payshack_currency": "INR", "vima_status": "success",
        "payshack_status": null, "state": "open", "assignee": null, "note": null, "first_seen_at": time(noon(day(4))),
        "last_seen_at": time(noon(day(3))), "resolved_at": null, "age_days": age_days, "details": {"why": "so"},
        "created_at": time(noon(day(4))),
    });
    assert_eq!(item, expected);

    sqlx::query!("UPDATE discrepancies SET last_run_id = $1, last_seen_at = first_seen_at", first)
        .execute(pool)
        .await
        .expect("the database takes it");
    let gone = desk.web.get(LIST).await["items"][0].clone();
    assert_eq!((&gone["run_id"], &gone["last_seen_at"]), (&json!(first), &gone["first_seen_at"]), "found no longer");
}

#[tokio::test]
async fn a_closed_case_grows_no_older_by_the_days_of_the_zone() {
    let system = TestSystem::start(&[]).await;
    let recon_date = day(30);
    let evening = recon_date.and_hms_opt(20, 0, 0).expect("a time").and_utc();
    let closed = Case { resolved_at: Some(evening), ..Case::in_state(recon_date, "a", "resolved") };
    closed.open(&system.pool, Uuid::now_v7()).await;
    for (zone, age) in [("UTC", 0), ("Asia/Kolkata", 1)] {
        let web = system.start_web_with(&[("RECONCILIATION_TIMEZONE", zone)]).await;
        assert_eq!(web.get(LIST).await["items"][0]["age_days"], age, "{zone}");
    }
}

#[tokio::test]
async fn a_case_is_shown_with_both_payments_as_far_as_one_may_see() {
    let desk = Desk::open().await;
    let pool = desk.pool();
    let vima = Payment::new("vima", "order-1", noon(day(5))).keep(pool).await;
    let case = Case { vima: Some(vima), payshack: None, ..Case::new(day(5), "order-1") };
    let id = case.open(pool, Uuid::now_v7()).await;
    let path = format!("{LIST}/{id}");
    for (key, email, phone) in
        [(OPERATOR, "someone@example.com", "9876543341"), (VIEWER, "s***@example.com", "******3341")]
    {
        let shown = desk.asked(Method::GET, &path, key, None).await.json();
        let told = ["id", "source", "user_email", "user_phone"].map(|field| shown["vima"][field].clone());
        assert_eq!(told, [json!(vima), json!("vima"), json!(email), json!(phone)], "{shown}");
        assert_eq!((&shown["payshack"], &shown["history"]), (&Value::Null, &json!([])), "{shown}");
        assert_eq!((&shown["id"], &shown["client_operation_id"]), (&json!(id), &json!("order-1")), "{shown}");
    }
    unknown_cases_are_told_from_what_is_no_id(&desk.web).await;
}

async fn unknown_cases_are_told_from_what_is_no_id(web: &Web) {
    for (id, status) in [(Uuid::nil().to_string(), 404), ("17".to_owned(), 422)] {
        let answer = web.request(Method::GET, &format!("{LIST}/{id}"), Some(VIEWER), None).await;
        assert_eq!(answer.expect("the web process answers").status, status, "{id}");
    }
}
