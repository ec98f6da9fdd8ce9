//! Payments without a counterpart, and what nearly is one.

use chrono::{Days, NaiveTime, TimeDelta};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::explanation::similar::KeyDifference;
use serde_json::{Value, json};
use sqlx::Executor;

use super::fixture::{ExplanationsApi, Payment, codes, earlier, explanation_path, limited_key};
use crate::harness::test_system::VIEWER;

#[tokio::test]
async fn source_that_was_not_read_is_named() {
    let api = ExplanationsApi::start(&[]).await;
    let id = Payment::new("vima", "order-1042").insert(api.pool()).await;
    for (change, code, verdict) in [
        ("", "not_synced_that_far", "pending"),
        ("UPDATE sync_streams SET watermark = now() - interval '5 hours'", "not_synced_that_far", "pending"),
        ("UPDATE sync_streams SET watermark = now() - interval '4 hours'", "missing_payshack", "missing_payshack"),
        ("UPDATE sync_streams SET covered_from = now() - interval '4 hours'", "not_synced_that_far_back", "pending"),
    ] {
        if !change.is_empty() {
            let count = api.system.number("SELECT count(*) FROM sync_streams").await;
            if count == 0 {
                api.set_read().await;
            }
            api.pool().execute(sqlx::AssertSqlSafe(change)).await.expect("the database accepts it");
        }
        let explanation = api.explain(id).await;
        assert_eq!(
            (codes(&explanation), &explanation["verdict"]),
            (vec![code.to_owned()], &json!(verdict)),
            "{change}"
        );
    }
}

#[tokio::test]
async fn payment_that_is_nearly_the_counterpart_is_named() {
    let api = ExplanationsApi::start(&[]).await;
    api.set_read().await;
    let days = |days| earlier() - TimeDelta::days(days);
    let other = |key| Payment::new("payshack", key);
    for (payment, other, code) in [
        (Payment::new("vima", "key-case-1"), other("KEY-case-1"), "key_differs"),
        (Payment::new("vima", "Key-Mixed-1"), other("keY-mIxed-1"), "key_differs"),
        (Payment::new("vima", "175540405154664903"), other("175540405154664908"), "key_differs"),
        (Payment::new("vima", "275540405154664903"), other("2755404051546649033"), "key_differs"),
        (Payment::new("vima", "375540405154664903"), other("37554040515466490"), "key_differs"),
        (Payment::new("vima", "475540405154664903"), other("47554040515466493"), "key_differs"),
        (Payment::new("vima", "575540405154664903"), other("575540405154664912"), "missing_payshack"),
        (Payment::new("vima", "675540405154664903"), other("675540405154664930"), "key_differs"),
        (
            Payment::new("vima", "far-apart-1"),
            Payment { created_at: days(3), ..other("far-apart-1") },
            "outside_window",
        ),
        (
            Payment::new("vima", "project-1"),
            Payment { project: Some("monetix"), ..other("project-1") },
            "other_project",
        ),
        (Payment::new("vima", "similar-1"), Payment { amount: 7, ..other("similar-2") }, "missing_payshack"),
        (Payment::new("vima", "similar-3"), Payment { created_at: days(3), ..other("similar-4") }, "missing_payshack"),
    ] {
        let id = payment.insert(api.pool()).await;
        let nearly = other.insert(api.pool()).await;
        let explanation = api.explain(id).await;
        assert_eq!(codes(&explanation)[0], code, "{payment:?}: {explanation}");
        let named = if code == "missing_payshack" { Value::Null } else { json!(nearly) };
        assert_eq!(explanation["reasons"][0]["transaction_id"], named, "{explanation}");
        assert!(explanation["counterpart"].is_null(), "{explanation}");
        if code == "key_differs" {
            assert_eq!(explanation["similar"][0]["transaction"]["id"], json!(nearly), "{explanation}");
            let difference = explanation["similar"][0]["difference"].as_str().and_then(KeyDifference::from_name);
            assert!(difference.is_some(), "{explanation}");
            let back = api.explain(nearly).await;
            assert_eq!(back["reasons"][0]["transaction_id"], json!(id), "the other way round: {back}");
        }
    }
}

#[tokio::test]
async fn similar_payment_with_a_counterpart_of_its_own_is_none() {
    let api = ExplanationsApi::start(&[]).await;
    api.set_read().await;
    let id = Payment::new("vima", "serial-1001").insert(api.pool()).await;
    for source in ["vima", "payshack"] {
        Payment::new(source, "serial-1002").insert(api.pool()).await;
    }
    let explanation = api.explain(id).await;
    assert_eq!((codes(&explanation), &explanation["similar"]), (vec!["missing_payshack".to_owned()], &json!([])));
}

#[tokio::test]
async fn payment_that_is_not_compared_says_so() {
    let api = ExplanationsApi::start(&[]).await;
    for (payment, code) in [
        (Payment { kind: "payout", ..Payment::new("payshack", "out-1") }, "payout"),
        (Payment { project: Some("monetix"), ..Payment::new("vima", "in-1") }, "project_not_reconciled"),
        (Payment { project: None, ..Payment::new("vima", "in-2") }, "project_not_reconciled"),
        (Payment { key: None, ..Payment::new("payshack", "in-3") }, "no_key"),
    ] {
        let explanation = api.explain(payment.insert(api.pool()).await).await;
        assert_eq!(codes(&explanation), [code], "{explanation}");
        let is_reconciled = code == "no_key";
        assert_eq!(explanation["counting"]["reconciliation_day"].is_null(), !is_reconciled, "{explanation}");
    }
}

#[tokio::test]
async fn days_of_both_zones_are_named() {
    let api = ExplanationsApi::start(&[("REPORT_TIMEZONE", "Asia/Kolkata")]).await;
    let day = SystemClock.now().date_naive() - Days::new(3);
    // In Kolkata it is the next day.
    let created_at = day.and_time(NaiveTime::from_hms_opt(23, 50, 0).expect("a time")).and_utc();
    let vima = Payment { created_at, ..Payment::new("vima", "midnight-1") }.insert(api.pool()).await;
    let next = Payment { created_at: created_at + TimeDelta::minutes(20), ..Payment::new("payshack", "midnight-1") };
    let payshack = next.insert(api.pool()).await;
    let expected = json!({
        "project": "91game", "currency": "INR", "report_day": day + Days::new(1), "report_timezone": "Asia/Kolkata",
        "reconciliation_day": day, "reconciliation_timezone": "UTC", "days_differ": true,
    });
    for (id, other) in [(vima, payshack), (payshack, vima)] {
        let explanation = api.explain(id).await;
        assert_eq!(explanation["counting"], expected, "the pair counts on the day of Vima's record");
        assert_eq!(codes(&explanation), ["matched", "other_day"]);
        assert_eq!(explanation["counterpart"]["id"], json!(other));
    }
    let shown = api.request(VIEWER, &explanation_path(vima)).await.text;
    assert!(!shown.contains("someone@example.com") && !shown.contains("9876543341"), "{shown}");
}

#[tokio::test]
async fn payments_of_other_projects_are_not_revealed() {
    let api = ExplanationsApi::start(&[("RECONCILED_PROJECTS", "*")]).await;
    api.set_read().await;
    let own = Payment { project: Some("acme"), ..Payment::new("vima", "shared-1001") };
    let hidden = |key| Payment { project: Some("zenith"), ..Payment::new("payshack", key) };
    let ids = [own.insert(api.pool()).await, hidden("shared-1001").insert(api.pool()).await];
    let alone = Payment { key: Some("alone-2001"), ..own }.insert(api.pool()).await;
    let similar = hidden("alone-2002").insert(api.pool()).await;
    let key = limited_key(&api.system, &api.web, "admin", "acme").await;
    for (id, other, visible_code) in [(ids[0], ids[1], "matched"), (alone, similar, "key_differs")] {
        assert_eq!(codes(&api.explain(id).await)[0], visible_code);
        let limited = api.request(&key, &explanation_path(id)).await;
        assert_eq!((limited.status, codes(&limited.json())), (200, vec!["missing_payshack".to_owned()]), "{limited:?}");
        assert!(!limited.text.contains("zenith") && !limited.text.contains(&other.to_string()), "{limited:?}");
        assert!(limited.text.contains("that you may see"), "{limited:?}");
        assert_eq!(api.request(&key, &explanation_path(other)).await.status, 404);
    }
}
