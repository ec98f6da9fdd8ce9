//! Each kind of rule fires and is resolved; rules about payments only as far as the sources have been read.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{Fixture, RULES};

#[tokio::test]
async fn rules_about_payments_fire_and_are_resolved() {
    let fixture = Fixture::start().await;
    let window = |kind: &str, projects: Value| json!({"kind": kind, "window_minutes": 60, "projects": projects});
    let with = |mut rule: Value, more: Value| {
        for (name, value) in more.as_object().expect("an object") {
            rule[name] = value.clone();
        }
        rule
    };
    let silence = json!({"kind": "no_payments", "window_minutes": 20, "projects": ["acme", "beta"]});
    fixture.create(silence).await;
    let threshold = json!({"threshold": "80", "resolve_threshold": "90", "min_count": 10});
    fixture.create(with(window("low_success_rate", json!(["beta"])), threshold)).await;
    let drop = json!({"threshold": "10", "min_count": 10, "weeks": 4});
    fixture.create(with(window("success_rate_below_baseline", json!(["gamma"])), drop)).await;
    fixture.create(with(window("failures_doubled", json!(["delta"])), json!({"min_count": 5}))).await;
    fixture.create(json!({"kind": "low_success_rate", "window_minutes": 60, "threshold": "1"})).await;

    fixture.store("beta", "success", 7, 10).await;
    fixture.store("beta", "failed", 5, 50).await;
    fixture.store("beta", "pending", 50, 30).await;
    // Outside its window.
    fixture.store("beta", "success", 100, 61).await;
    fixture.store("gamma", "success", 5, 30).await;
    fixture.store("gamma", "failed", 15, 30).await;
    for week in 1..=4 {
        fixture.store("gamma", "success", 20, week * 7 * 24 * 60 + 30).await;
    }
    fixture.store("delta", "failed", 5, 90).await;
    fixture.store("delta", "failed", 12, 30).await;
    // Not read completely yet.
    fixture.store("acme", "success", 1, -1).await;

    let report = fixture.evaluate().await;
    assert_eq!((report.rules, report.fired, report.resolved), (5, 4, 0));
    let expected = [
        "failures_doubled delta condition",
        "low_success_rate beta condition",
        "no_payments acme condition",
        "success_rate_below_baseline gamma condition",
    ];
    assert_eq!(fixture.open().await, expected);
    let alert = fixture.alerts("kind=low_success_rate").await.remove(0);
    assert_eq!((&alert["value"], &alert["acknowledged_at"]), (&json!("58.33"), &Value::Null), "{alert}");
    let message = alert["message"].as_str().expect("a message");
    assert!(
        message.starts_with("success rate of beta 58.33 % (7 of 12 decided payments) in the 60 minutes"),
        "{message}"
    );
    assert_eq!(fixture.evaluate().await.fired, 0, "one open alert per rule and project");

    // Above the threshold, but not beyond the one at which an alert is resolved.
    fixture.store("beta", "success", 20, 10).await;
    fixture.evaluate().await;
    assert_eq!(fixture.open().await, expected);
    fixture.store("beta", "success", 40, 10).await;
    fixture.store("acme", "pending", 1, 20).await;
    fixture.store("gamma", "success", 300, 15).await;
    fixture.store("delta", "failed", 20, 90).await;
    assert_eq!(fixture.evaluate().await.resolved, 4);
    assert_eq!(fixture.open().await, Vec::<String>::new());
    let alert = fixture.alerts("kind=no_payments&open=false").await.remove(0);
    assert!(alert["resolved_message"].as_str().is_some_and(|text| text.starts_with("1 payments of acme")), "{alert}");
}

/// What was not read yet looks like silence.
#[tokio::test]
async fn rule_about_payments_is_not_judged_before_its_window_was_read() {
    let fixture = Fixture::start().await;
    let rule = json!({"kind": "no_payments", "window_minutes": 20, "projects": ["acme"], "max_lag_minutes": 30});
    fixture.create(rule).await;
    fixture.store("acme", "success", 1, 120).await;
    fixture.read_until(fixture.end - TimeDelta::hours(2) + TimeDelta::minutes(1)).await;
    assert_eq!(fixture.evaluate().await.fired, 1);
    assert_eq!(fixture.open().await, ["no_payments  unjudged"], "no alert about the payments");
    let alert = fixture.alerts("").await.remove(0);
    assert!(
        alert["message"].as_str().is_some_and(|text| text.starts_with("cannot be judged: vima or payshack")),
        "{alert}"
    );
    assert_eq!(fixture.evaluate().await.fired, 0);

    // Only one source was read.
    fixture.read_until(fixture.end).await;
    fixture.execute("UPDATE sync_streams SET watermark = NULL WHERE stream = 'payouts'".to_owned()).await;
    let report = fixture.evaluate().await;
    assert_eq!((report.fired, report.resolved), (0, 0));
    fixture.read_until(fixture.end).await;
    let report = fixture.evaluate().await;
    assert_eq!((report.fired, report.resolved), (1, 1), "now it is known that there were none");
    assert_eq!(fixture.open().await, ["no_payments acme condition"]);

    // An open alert is not resolved either while nothing is read.
    fixture.store("acme", "success", 1, -10).await;
    fixture.read_until(fixture.end - TimeDelta::hours(2)).await;
    assert_eq!(fixture.evaluate().await.resolved, 0);
    assert_eq!(fixture.open().await, ["no_payments  unjudged", "no_payments acme condition"]);
}

#[tokio::test]
async fn rules_about_the_service_fire_and_are_resolved() {
    let fixture = Fixture::start().await;
    for rule in [
        json!({"kind": "open_discrepancies", "threshold": "1", "projects": ["acme"]}),
        json!({"kind": "value_at_risk", "threshold": "999.99", "currency": "INR"}),
        json!({"kind": "value_at_risk", "threshold": "1", "currency": "USD"}),
        json!({"kind": "sync_lag", "threshold": "60", "source": "vima"}),
        json!({"kind": "quarantine"}),
        json!({"kind": "job_failed", "job_kind": "export", "window_minutes": 60}),
        json!({"kind": "late_changes", "hours": 48, "window_minutes": 60, "threshold": "0", "projects": ["acme"]}),
    ] {
        fixture.create(rule).await;
    }
    assert_eq!(fixture.evaluate().await.fired, 0);
    for (project, amount) in [("acme", 400), ("acme", 500), ("beta", 100)] {
        fixture
            .execute(format!(
                "INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, project, vima_txn_id, vima_amount,
                                            vima_currency, details, state, first_seen_at, first_run_id, created_at)
                 VALUES (gen_random_uuid(), current_date, gen_random_uuid()::text, 1, 'missing_payshack', '{{missing}}', '{project}',
                         gen_random_uuid(), {amount}, 'INR', '{{}}', 'open', now(), gen_random_uuid(), now())"
            ))
            .await;
    }
    fixture
        .execute(
            "INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
             VALUES (gen_random_uuid(), 'vima', 'payin', 'r', '', '', gen_random_uuid(), now(), now());
             INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at)
             VALUES (gen_random_uuid(), 'export', '{}', 'export', 0, 'failed', 'api', now(), 1, now(), now())"
                .to_owned(),
        )
        .await;
    fixture.store("acme", "failed", 1, 3 * 24 * 60).await;
    fixture.store("acme", "failed", 1, 24 * 60).await;
    fixture
        .execute(
            "INSERT INTO transaction_changes (transaction_id, recorded_at, old_status, new_status, old_amount, new_amount)
             SELECT id, now(), 'success', 'failed', 100, 100 FROM transactions"
                .to_owned(),
        )
        .await;
    fixture.read_until(fixture.end - TimeDelta::hours(2)).await;
    assert_eq!(fixture.evaluate().await.fired, 6);
    let expected = [
        "job_failed  condition",
        "late_changes acme condition",
        "open_discrepancies acme condition",
        "quarantine  condition",
        "sync_lag vima condition",
        "value_at_risk  condition",
    ];
    assert_eq!(fixture.open().await, expected);
    let alert = fixture.alerts("kind=value_at_risk").await.remove(0);
    assert_eq!(alert["message"], "1000 INR at risk in unresolved discrepancies; threshold 999.99");
    let alert = fixture.alerts("kind=late_changes").await.remove(0);
    assert_eq!(alert["value"], "1.00", "{alert}");

    fixture
        .execute(
            "UPDATE discrepancies SET state = 'resolved', resolved_at = now();
             DELETE FROM quarantine;
             UPDATE transaction_changes SET recorded_at = now() - interval '61 minutes';
             INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at)
             VALUES (gen_random_uuid(), 'export', '{}', 'export', 0, 'succeeded', 'api', now(), 1, now(), now())"
                .to_owned(),
        )
        .await;
    fixture.read_until(fixture.end).await;
    assert_eq!(fixture.evaluate().await.resolved, 6);
    assert_eq!(fixture.open().await, Vec::<String>::new());

    // A rule that cannot be measured does not stop those after it.
    let failing = "ALTER TABLE quarantine RENAME TO renamed; UPDATE transaction_changes SET recorded_at = now()";
    fixture.execute(failing.to_owned()).await;
    let error = fixture.try_evaluate_as(&fixture.claim).await.expect_err("one rule fails");
    assert!(error.to_string().contains("quarantine"), "{error}");
    assert_eq!(fixture.open().await, ["late_changes acme condition"]);
}

/// The backtest says what evaluations at each quarter of an hour would have done: here they are made.
#[tokio::test]
async fn backtest_agrees_with_evaluation() {
    let fixture = Fixture::start().await;
    // Failures at two times of the last hours.
    for (status, count, minutes) in [
        ("success", 10, 700),
        ("failed", 10, 610),
        ("success", 90, 500),
        ("failed", 1, 400),
        ("failed", 30, 310),
        ("success", 20, 290),
        ("success", 200, 100),
    ] {
        fixture.store("acme", status, count, minutes).await;
    }
    let rule = json!({
        "name": "rate", "kind": "low_success_rate", "window_minutes": 120, "threshold": "60", "resolve_threshold": "80",
        "min_count": 5, "projects": ["acme"], "for_minutes": 30, "clear_minutes": 15, "max_lag_minutes": 1440,
    });
    let tested = fixture.ok(Method::POST, &format!("{RULES}/backtest"), &rule).await;
    assert_eq!(tested["summary"], "would have fired 2 times in the last 30 days", "{tested}");
    let times = |alerts: &[Value], names: [&str; 2]| -> Vec<[DateTime<Utc>; 2]> {
        let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).expect("a time");
        alerts.iter().map(|alert| names.map(|name| time(&alert[name]))).collect()
    };
    let expected = times(tested["alerts"].as_array().expect("alerts"), ["fired_at", "resolved_at"]);

    fixture.create(rule).await;
    let (mut made, mut at) = (vec![], fixture.end - TimeDelta::hours(13));
    while at <= fixture.end {
        fixture.read_until(at).await;
        let report = fixture.evaluate().await;
        if report.fired == 1 {
            made.insert(0, [at, at]);
        } else if report.resolved == 1 {
            made[0][1] = at;
        }
        at += TimeDelta::minutes(15);
    }
    assert_eq!(made, expected);
    let refused =
        fixture.send(Method::POST, &format!("{RULES}/backtest"), &json!({"name": "q", "kind": "quarantine"})).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &json!("kind")), "{refused:?}");
}
