//! References of payments that are stored, at one source or both, or not at all.

use serde_json::json;

use super::fixture::{ExplanationsApi, Payment, limited_key, reference_path};
use crate::harness::test_system::{ADMIN, VIEWER};

#[tokio::test]
async fn reference_leads_to_the_payments_that_have_it() {
    let api = ExplanationsApi::start(&[]).await;
    api.set_read().await;
    let pair = [
        Payment::new("vima", "order-1042").insert(api.pool()).await,
        Payment::new("payshack", "order-1042").insert(api.pool()).await,
    ];
    let alone = Payment::new("payshack", "ORDER_77-b").insert(api.pool()).await;
    for (reference, code, payments) in [
        ("order-1042", "stored", 2),
        (" order-1042\t", "stored", 2),
        ("id-order-1042", "stored", 2),
        ("Ref-order-1042", "stored", 2),
        ("utr-order-1042", "stored", 2),
        ("ORDER_77-b", "only_payshack", 1),
        ("utr-ORDER_77-b", "only_payshack", 1),
        ("order_77-B", "similar_key", 0),
        ("UTR-order_77-b", "similar_key", 0),
        ("order-1O42", "similar_key", 0),
        ("order-1402", "similar_key", 0),
        ("rder-1042", "similar_key", 0),
        ("order-5042", "similar_key", 0),
        ("order-5043", "unknown", 0),
        ("der-10", "unknown", 0),
        ("---", "unknown", 0),
        ("7", "unknown", 0),
    ] {
        let explanation = api.explain_reference(reference).await;
        assert_eq!(explanation["code"], code, "{reference:?}: {explanation}");
        assert_eq!(explanation["payments"].as_array().map(Vec::len), Some(payments), "{reference:?}: {explanation}");
        let has_similar = explanation["similar"].as_array().is_some_and(|similar| !similar.is_empty());
        assert_eq!(has_similar, code == "similar_key", "{reference:?}: {explanation}");
    }
    let explanation = api.explain_reference("order-1042").await;
    for payment in explanation["payments"].as_array().expect("a list") {
        let url = payment["explanation_url"].as_str().expect("a path");
        let explained = api.web.get(url).await;
        assert_eq!(explained["id"], payment["transaction"]["id"], "{url}");
        assert!(pair.iter().any(|id| explained["id"] == json!(id)), "{explained}");
    }
    let explanation = api.explain_reference("ORDER_77-b").await;
    assert_eq!(explanation["payments"][0]["transaction"]["id"], json!(alone));
    let has: Vec<_> = explanation["sources"].as_array().expect("both").iter().map(|it| &it["has_payment"]).collect();
    assert_eq!(has, [&json!(false), &json!(true)], "{explanation}");
}

#[tokio::test]
async fn progress_of_both_lanes_is_reported() {
    let api = ExplanationsApi::start(&[]).await;
    let explanation = api.explain_reference("order-1042").await;
    assert_eq!(explanation["code"], "not_synced", "{explanation}");
    assert!(explanation["sources"][0]["read_until"].is_null(), "{explanation}");
    api.set_read().await;
    let explanation = api.explain_reference("order-1042").await;
    assert_eq!(explanation["code"], "unknown", "{explanation}");
    for (source, streams) in [(0, ["creations", "updates"]), (1, ["payins", "payouts"])] {
        let progress = &explanation["sources"][source];
        let named: Vec<_> = progress["streams"].as_array().expect("lists").iter().map(|it| &it["stream"]).collect();
        assert_eq!(named, streams, "{progress}");
        assert!(progress["read_until"].is_string() && progress["remaining"].is_null(), "{progress}");
    }
    sqlx::query!("UPDATE sync_streams SET covered_from = covered_from + interval '3 days' WHERE source = 'vima'")
        .execute(api.pool())
        .await
        .expect("the database accepts it");
    let explanation = api.explain_reference("order-1042").await;
    assert_eq!(explanation["code"], "not_synced", "{explanation}");
    let from = &explanation["sources"][0]["remaining"]["from_date"];
    assert!(
        from.is_string() && explanation["explanation"].to_string().contains("Vima is still to be read"),
        "{explanation}"
    );
}

#[tokio::test]
async fn reference_is_required_and_limited() {
    let api = ExplanationsApi::start(&[]).await;
    for path in ["/api/v1/explain/payment".to_owned(), reference_path(" "), reference_path(&"7".repeat(1_025))] {
        let refused = api.request(ADMIN, &path).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &json!("reference")), "{refused:?}");
    }
    assert_eq!(api.request(ADMIN, &reference_path(&"7".repeat(1_024))).await.status, 200);
}

#[tokio::test]
async fn payments_of_other_projects_do_not_exist_for_a_limited_key() {
    let api = ExplanationsApi::start(&[]).await;
    api.set_read().await;
    Payment { project: Some("zenith"), ..Payment::new("vima", "order-1042") }.insert(api.pool()).await;
    Payment { project: Some("acme"), ..Payment::new("payshack", "acme-7701") }.insert(api.pool()).await;
    let key = limited_key(&api.system, &api.web, "operator", "acme").await;
    for (reference, code) in [
        ("order-1042", "unknown"),
        ("order-1043", "unknown"),
        ("id-order-1042", "unknown"),
        ("utr-order-1042", "unknown"),
        ("ORDER-1042", "unknown"),
        ("acme-7701", "only_payshack"),
        ("acme-7702", "similar_key"),
    ] {
        let limited = api.request(&key, &reference_path(reference)).await;
        assert_eq!((limited.status, &limited.json()["code"]), (200, &json!(code)), "{reference}: {limited:?}");
        assert!(!limited.text.contains("zenith"), "{limited:?}");
    }
    assert_eq!(api.explain_reference("utr-order-1042").await["code"], "only_vima");
    let shown = api.request(VIEWER, &reference_path("order-1042")).await.text;
    assert!(shown.contains("s***@example.com") && !shown.contains("someone@"), "masked for viewers: {shown}");
}
