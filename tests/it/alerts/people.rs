//! What people set and see: rules, hold times, muting, acknowledging; and that an alert is raised once.

use psp_dashboard::operations::alerts::evaluate::EvaluationReport;
use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{ALERTS, Fixture, RULES, new_claim};
use crate::harness::test_system::{VIEWER, items};

const QUARANTINED: &str =
    "INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
                           VALUES (gen_random_uuid(), 'vima', 'payin', 'r', '', '', gen_random_uuid(), now(), now())";

/// As if so many minutes had passed since the condition began to hold, or was over.
async fn pass(fixture: &Fixture, minutes: u32) {
    fixture
        .execute(format!(
            "UPDATE alert_states SET breached_since = breached_since - interval '{minutes} minutes',
                                     clear_since = clear_since - interval '{minutes} minutes'"
        ))
        .await;
}

fn counts(report: EvaluationReport) -> (u64, u64) {
    (report.fired, report.resolved)
}

async fn announced(fixture: &Fixture) -> Vec<String> {
    let states = sqlx::query_scalar!(
        r#"SELECT (body ->> 'state') || ' ' || (body ->> 'name') AS "state!" FROM events WHERE body ->> 'type' = 'alert' ORDER BY id"#
    );
    states.fetch_all(&fixture.system.pool).await.expect("the database responds")
}

#[tokio::test]
async fn alerts_wait_are_muted_acknowledged_and_resolved() {
    let fixture = Fixture::start().await;
    let rule =
        json!({"name": "records", "kind": "quarantine", "for_minutes": 10, "clear_minutes": 5, "severity": "critical"});
    let path = fixture.create(rule).await;
    let far = json!({"muted_until": "2199-01-01T00:00:00Z"});
    assert_eq!(fixture.ok(Method::PATCH, &path, &far).await["muted_until"], "2199-01-01T00:00:00Z");
    fixture.execute(QUARANTINED.to_owned()).await;
    assert_eq!(counts(fixture.evaluate().await), (0, 0));
    pass(&fixture, 9).await;
    assert_eq!(counts(fixture.evaluate().await), (0, 0), "it must hold for ten minutes");
    pass(&fixture, 1).await;
    assert_eq!(counts(fixture.evaluate().await), (1, 0));
    let alert = fixture.alerts("open=true&severity=critical").await.remove(0);
    assert_eq!(alert["notified_at"], Value::Null, "{alert}");
    assert_eq!(announced(&fixture).await, Vec::<String>::new());

    // Once it is not muted any more, what is still open is announced.
    fixture.ok(Method::PATCH, &path, &json!({"muted_until": null})).await;
    fixture.evaluate().await;
    assert_eq!(announced(&fixture).await, ["fired records"]);
    fixture.evaluate().await;
    assert_eq!(announced(&fixture).await, ["fired records"]);

    let alert_path = format!("{ALERTS}/{}", alert["id"].as_str().expect("an id"));
    let acknowledge = format!("{alert_path}/acknowledge");
    let acknowledged = fixture.ok(Method::POST, &acknowledge, &json!({"note": "replayed tomorrow"})).await;
    assert_eq!(
        [&acknowledged["acknowledged_by"], &acknowledged["note"]],
        [&json!("otto"), &json!("replayed tomorrow")]
    );
    assert_eq!(fixture.alerts("acknowledged=false").await.len(), 0);
    let audit = fixture.web.get("/api/v1/audit?operation=acknowledgeAlert").await;
    assert_eq!(items(&audit)[0]["after"]["note"], "replayed tomorrow", "{audit}");

    fixture.execute("DELETE FROM quarantine".to_owned()).await;
    fixture.evaluate().await;
    pass(&fixture, 4).await;
    assert_eq!(counts(fixture.evaluate().await), (0, 0), "it must be over for five minutes");
    fixture.execute(QUARANTINED.to_owned()).await;
    fixture.evaluate().await;
    fixture.execute("DELETE FROM quarantine".to_owned()).await;
    fixture.evaluate().await;
    pass(&fixture, 4).await;
    assert_eq!(counts(fixture.evaluate().await), (0, 0), "without interruption");
    pass(&fixture, 1).await;
    assert_eq!(counts(fixture.evaluate().await), (0, 1));
    assert_eq!(announced(&fixture).await, ["fired records", "resolved records"]);
    let again = fixture.send(Method::POST, &acknowledge, &json!({})).await;
    assert_eq!(again.status, 409, "{again:?}");

    // A rule that is disabled or deleted leaves no open alert, and the list keeps what was.
    for (method, body, message) in [
        (Method::PATCH, json!({"enabled": false}), "the rule was disabled"),
        (Method::DELETE, json!({}), "the rule was deleted"),
    ] {
        fixture.ok(Method::PATCH, &path, &json!({"enabled": true, "for_minutes": 0})).await;
        fixture.execute(QUARANTINED.to_owned()).await;
        assert_eq!(counts(fixture.evaluate().await), (1, 0));
        assert_eq!(fixture.web.get(&path).await["open_alerts"], 1);
        fixture.ok(method, &path, &body).await;
        assert_eq!(fixture.alerts("limit=1").await[0]["resolved_message"], message);
        fixture.execute("DELETE FROM quarantine".to_owned()).await;
        fixture.evaluate().await;
    }
    let alerts = fixture.alerts("").await;
    assert_eq!((alerts.len(), &alerts[0]["rule_id"]), (3, &Value::Null));
    assert_eq!(
        announced(&fixture).await,
        ["fired records", "resolved records"].repeat(3),
        "the end reaches everyone who got the alert"
    );
    assert_eq!(fixture.send(Method::PATCH, &path, &json!({"name": "x"})).await.status, 404);
}

/// Two workers measure the same; one of them raises the alert.
#[tokio::test]
async fn concurrent_evaluations_raise_an_alert_once() {
    let fixture = Fixture::start().await;
    let other = new_claim(&fixture.system, &fixture.redis).await;
    for project in 0..20 {
        let rule = json!({"kind": "no_payments", "window_minutes": 30, "projects": [format!("p{project}")]});
        fixture.create(rule).await;
    }
    let (one, two) = tokio::join!(fixture.evaluate(), fixture.evaluate_as(&other));
    assert_eq!((one.fired + two.fired, one.rules, two.rules), (20, 20, 20));
    assert_eq!(fixture.open().await.len(), 20);
    assert_eq!(announced(&fixture).await.len(), 20);
    let pages = fixture.web.pages(VIEWER, &format!("{ALERTS}?limit=7")).await;
    assert_eq!(pages.iter().map(|page| items(page).len()).collect::<Vec<_>>(), [7, 7, 6]);
    let pages = fixture.web.pages(VIEWER, &format!("{RULES}?limit=15")).await;
    assert_eq!(pages.iter().map(|page| items(page).len()).collect::<Vec<_>>(), [15, 5]);
}

#[tokio::test]
async fn rules_are_validated_and_audited() {
    let fixture = Fixture::start().await;
    let base = json!({"name": "n", "kind": "low_success_rate", "window_minutes": 60, "threshold": "80"});
    for (field, value, named) in [
        ("kind", json!(null), "kind"),
        ("kind", json!("nonsense"), "kind"),
        ("name", json!(null), "name"),
        ("name", json!("a".repeat(201)), "name"),
        ("window_minutes", json!(50), "window_minutes"),
        ("threshold", json!("101"), "threshold"),
        ("resolve_threshold", json!("70"), "resolve_threshold"),
        ("weeks", json!(4), "weeks"),
        ("for_minutes", json!(100_000), "for_minutes"),
        ("max_lag_minutes", json!(0), "max_lag_minutes"),
        ("muted_until", json!("tomorrow"), "muted_until"),
        ("source", json!("visa"), "source"),
        ("name", json!(" "), "name"),
        ("projects", json!([""]), "projects"),
        ("job_kind", json!("nonsense"), "job_kind"),
        ("color", json!("red"), "color"),
    ] {
        let mut rule = base.clone();
        rule[field] = value;
        let refused = fixture.send(Method::POST, RULES, &rule).await;
        assert_eq!(refused.status, 422, "{rule}: {refused:?}");
        assert_eq!(refused.json()["errors"][0]["field"], named, "{rule}: {refused:?}");
    }
    for (kind, field, value) in [
        ("job_failed", "source", json!("vima")),
        ("open_discrepancies", "source", json!("vima")),
        ("quarantine", "projects", json!(["acme"])),
    ] {
        let mut rule = json!({"name": "n", "kind": kind});
        if kind == "job_failed" {
            rule["window_minutes"] = json!(60);
        }
        rule[field] = value;
        let refused = fixture.send(Method::POST, RULES, &rule).await;
        assert_eq!(refused.status, 422, "{rule}: {refused:?}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "a filter that is ignored: {refused:?}");
    }
    let path = fixture.create(base).await;
    let changed = fixture.ok(Method::PATCH, &path, &json!({"threshold": "75.5", "projects": ["b", "a", "b"]})).await;
    assert_eq!([&changed["threshold"], &changed["projects"]], [&json!("75.50"), &json!(["a", "b"])], "{changed}");
    assert_eq!(changed["min_count"], 20, "the default");
    // Another kind drops the parameters of the old one.
    let changed = fixture.ok(Method::PATCH, &path, &json!({"kind": "no_payments", "window_minutes": 20})).await;
    assert_eq!([&changed["kind"], &changed["threshold"]], [&json!("no_payments"), &Value::Null], "{changed}");
    let audit = fixture.web.get("/api/v1/audit?operation=updateAlertRule").await;
    let newest = &items(&audit)[0];
    assert_eq!(
        [&newest["before"]["kind"], &newest["after"]["kind"]],
        [&json!("low_success_rate"), &json!("no_payments")]
    );
    assert_eq!(fixture.web.get(&path).await["created_by"], "otto");
}
