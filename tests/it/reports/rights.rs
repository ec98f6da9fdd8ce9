//! Whose rights a report has, when it stops, and what a request may say.

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{Fixture, SCHEDULES, YEARLY};
use crate::harness::keys::create_key;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, items};

#[tokio::test]
async fn reports_have_the_rights_of_their_owner_and_stop_with_the_key() {
    let fixture = Fixture::start(&["--per-day", "60"]).await;
    let _worker = fixture.start_jobs(&["worker"]);
    fixture.system.sync_both().await;
    let project = sqlx::query_scalar!(
        r#"SELECT project AS "project!" FROM transactions WHERE project IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"#
    );
    let project = project.fetch_one(&fixture.system.pool).await.expect("a project");
    let scoped = create_key(&fixture.system, "operator", &[&project]);
    let other = create_key(&fixture.system, "admin", &["no such project"]);
    for key in [&scoped, &other] {
        fixture.wait_until_known(key).await;
    }

    // Only its project, even if another key runs it.
    let digest = fixture.create(&scoped, json!({"destination": "object_store", "folder": "scoped"})).await;
    let html = fixture.file(&fixture.run(&digest).await);
    assert!(html.contains(&format!("Only these projects: {project}.")) && !html.contains("Incidents"), "{html}");
    let payments = json!({
        "kind": "export", "export": "transactions", "period": "last_7_days", "columns": ["project"], "destination": "object_store",
        "folder": "scoped",
    });
    let export = fixture.create(&scoped, payments).await;
    let projects = |file: String| file.lines().skip(1).map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let only: std::collections::BTreeSet<_> = [project.clone()].into();
    assert_eq!(projects(fixture.file(&fixture.run(&export).await)), only);
    // A change by another key does not widen it; becoming the owner does.
    let renamed = json!({"name": "renamed", "filters": {"kind": "payin"}});
    let changed = fixture.ok(ADMIN, Method::PATCH, &export, &renamed).await;
    assert_eq!((&changed["owner"], &changed["projects"]), (&json!("made by a test"), &json!([project])), "{changed}");
    assert_eq!(projects(fixture.file(&fixture.run(&export).await)), only);
    let refused = fixture.send(&scoped, Method::PATCH, &export, &json!({"filters": {"project": "another"}})).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let clients = json!({
        "name": "c", "cron": YEARLY, "kind": "export", "export": "payshack-clients", "destination": "object_store", "folder": "a",
    });
    assert_eq!(fixture.send(&scoped, Method::POST, SCHEDULES, &clients).await.status, 403);
    // Keys of other projects do not see it; a lower role does not change it; a viewer sees none.
    let listed = async |key: &str| {
        let page = fixture.ok(key, Method::GET, SCHEDULES, &Value::Null).await;
        assert_eq!(page["total"], items(&page).len(), "{page}");
        items(&page).len()
    };
    assert_eq!((listed(&scoped).await, listed(&other).await, listed(OPERATOR).await), (2, 0, 2));
    for (method, path) in [
        (Method::GET, export.clone()),
        (Method::POST, format!("{export}/run")),
        (Method::GET, format!("{export}/runs")),
    ] {
        assert_eq!(fixture.send(&other, method, &path, &Value::Null).await.status, 404, "{path}");
    }
    assert_eq!(fixture.send(VIEWER, Method::GET, &export, &Value::Null).await.status, 403);
    let of_admin = fixture.create(ADMIN, json!({"destination": "object_store", "folder": "admin"})).await;
    assert_eq!(fixture.send(&scoped, Method::GET, &of_admin, &Value::Null).await.status, 404);
    for (method, path) in [
        (Method::PATCH, of_admin.clone()),
        (Method::DELETE, of_admin.clone()),
        (Method::POST, format!("{of_admin}/run")),
    ] {
        let refused = fixture.send(OPERATOR, method, &path, &json!({})).await;
        assert_eq!((refused.status, refused.json()["code"].clone()), (403, json!("FORBIDDEN")), "{path} {refused:?}");
    }
    fixture.system.wait_until_idle().await;

    // The key is revoked: a report that is being made is not delivered, and the schedules stop with a reason.
    let keys = fixture.web.get("/api/v1/api-keys").await;
    let id = items(&keys).iter().find(|key| key["projects"] == json!([project])).map(|key| key["id"].clone());
    let id = id.expect("the key").as_str().expect("an id").to_owned();
    fixture.ok(ADMIN, Method::POST, "/api/v1/queues/reports/pause", &Value::Null).await;
    let waiting = fixture.request_run(&digest).await;
    fixture.ok(ADMIN, Method::DELETE, &format!("/api/v1/api-keys/{id}"), &Value::Null).await;
    fixture.ok(ADMIN, Method::POST, "/api/v1/queues/reports/resume", &Value::Null).await;
    fixture.system.run_job("run-report-schedules", None);
    let stopped = fixture.web.get(&digest).await;
    let reason = stopped["stopped_reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("key revoked") && stopped["enabled"] == false && stopped["next_run_at"].is_null(),
        "{stopped}"
    );
    let failed = fixture.wait_for_failed(&digest, &waiting).await;
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("key revoked")), "{failed}");
    let audit = fixture.web.get("/api/v1/audit?operation=stopReportSchedule").await;
    assert_eq!((&audit["total"], &audit["items"][0]["principal"]), (&json!(2), &json!("system")), "{audit}");
    for body in [json!({"enabled": true}), json!({"enabled": true, "name": "again"})] {
        let refused = fixture.send(ADMIN, Method::PATCH, &digest, &body).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("take_over")), "{refused:?}");
    }
    assert_eq!(fixture.send(ADMIN, Method::POST, &format!("{digest}/run"), &Value::Null).await.status, 409);
    let taken = fixture.ok(ADMIN, Method::PATCH, &export, &json!({"enabled": true, "take_over": true})).await;
    assert_eq!(
        (&taken["owner"], &taken["projects"], &taken["stopped_reason"]),
        (&json!("ada"), &Value::Null, &Value::Null)
    );
    let run = fixture.ok(ADMIN, Method::POST, &format!("{export}/run"), &Value::Null).await;
    let run = fixture.wait_for(&export, &run, "delivered").await;
    assert!(projects(fixture.file(&run)).len() > 1, "all projects");
    // Of an expired key.
    fixture.execute(&format!("UPDATE api_keys SET expires_at = now() - interval '1 minute' WHERE id <> '{id}'")).await;
    fixture.execute("INSERT INTO report_schedules SELECT (jsonb_populate_record(schedule, jsonb_build_object('id', gen_random_uuid(), \
                     'enabled', true, 'owner_key', (SELECT id FROM api_keys WHERE revoked_at IS NULL LIMIT 1)))).* \
                     FROM report_schedules AS schedule WHERE folder = 'admin'").await;
    fixture.system.run_job("run-report-schedules", None);
    let expired = "SELECT count(*) FROM report_schedules WHERE NOT enabled AND stopped_reason LIKE 'key expired on %'";
    assert_eq!(fixture.system.number(expired).await, 1);
}

impl Fixture {
    /// The web process reads the keys about once a second.
    async fn wait_until_known(&self, key: &str) {
        crate::harness::eventually("the key to be known", || async {
            (self.send(key, Method::GET, SCHEDULES, &Value::Null).await.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until the job of a run has failed, and until the run says so.
    async fn wait_for_failed(&self, schedule: &str, run: &Value) -> Value {
        crate::harness::eventually("the run to fail", || async {
            self.system.run_job("run-report-schedules", None);
            let runs = self.runs(schedule).await;
            runs.into_iter().find(|known| known["id"] == run["id"] && known["state"] == "failed")
        })
        .await
    }
}

#[tokio::test]
async fn invalid_schedules_are_refused_and_valid_ones_are_audited() {
    let fixture = Fixture::start(&[]).await;
    let digest = json!({"name": "d", "cron": "0 7 * * *", "destination": "object_store", "folder": "a"});
    let export = json!({
        "name": "e", "cron": "0 7 * * *", "destination": "object_store", "folder": "a", "kind": "export", "export": "transactions",
        "period": "yesterday",
    });
    for (base, change, field, expected) in [
        (&digest, json!({"name": null}), "name", "is required"),
        (&digest, json!({"name": "a\nb"}), "name", "control"),
        (&digest, json!({"cron": null}), "cron", "is required"),
        (&digest, json!({"cron": "61 * * * *"}), "cron", "five fields"),
        (&digest, json!({"cron": "* * * * *"}), "cron", "15 minutes"),
        (&digest, json!({"timezone": "Mars/Base"}), "timezone", "IANA"),
        (&digest, json!({"destination": null}), "destination", "is required"),
        (&digest, json!({"folder": null}), "folder", "is required"),
        (&digest, json!({"folder": "../up"}), "folder", "names of letters"),
        (&digest, json!({"recipients": ["a@example.com"]}), "recipients", "only for the destination email"),
        (&digest, json!({"destination": "email"}), "folder", "only for the destination object_store"),
        (
            &digest,
            json!({"destination": "email", "folder": null, "recipients": ["a@evil.org"]}),
            "recipients",
            "REPORT_EMAIL_ALLOWED",
        ),
        (
            &digest,
            json!({"destination": "email", "folder": null, "recipients": ["nobody"]}),
            "recipients",
            "e-mail address",
        ),
        (&digest, json!({"destination": "email", "folder": null, "recipients": []}), "recipients", "1 to 20"),
        (
            &digest,
            json!({"destination": "webhook", "folder": null, "webhook_id": "00000000-0000-0000-0000-000000000000"}),
            "webhook_id",
            "no such webhook",
        ),
        (&digest, json!({"period": "yesterday"}), "period", "only for the kind export"),
        (&digest, json!({"take_over": true}), "take_over", "only for changes"),
        (&digest, json!({"language": "de"}), "language", "en, ru"),
        (&digest, json!({"unknown": 1}), "unknown", "not known"),
        (&export, json!({"export": null}), "export", "is required"),
        (&export, json!({"period": null}), "period", "is required"),
        (&export, json!({"export": "payshack-clients"}), "period", "must be null"),
        (&export, json!({"filters": {"from_date": "2026-01-01"}}), "filters.from_date", "follow from period"),
        (&export, json!({"filters": {"nothing": 1}}), "filters.nothing", "not known"),
        (&export, json!({"filters": {"status": "done"}}), "filters.status", "must be one of"),
        (&export, json!({"columns": ["nothing"]}), "columns", "nothing"),
    ] {
        let mut body = base.clone();
        body.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let refused = fixture.send(OPERATOR, Method::POST, SCHEDULES, &body).await;
        let problem = refused.json();
        assert_eq!(refused.status, 422, "{body} {problem}");
        let errors = problem["errors"].as_array().expect("errors");
        let error = errors.iter().find(|error| error["field"] == field).unwrap_or_else(|| panic!("{field}: {problem}"));
        assert!(error["message"].as_str().is_some_and(|message| message.contains(expected)), "{expected}: {problem}");
    }
    assert_eq!(fixture.system.number("SELECT count(*) FROM report_schedules").await, 0);

    // Created, changed, deleted: each is in the audit log, and a change keeps what it does not name.
    let path = fixture.create(OPERATOR, export).await;
    let changed =
        fixture.ok(OPERATOR, Method::PATCH, &path, &json!({"filters": {"status": "failed"}, "language": "ru"})).await;
    assert_eq!(
        (&changed["filters"], &changed["cron"]),
        (&json!({"status": "failed"}), &json!("0 7 * * *")),
        "{changed}"
    );
    let changed = fixture.ok(OPERATOR, Method::PATCH, &path, &json!({"export": "metrics-summary"})).await;
    assert_eq!(
        (&changed["filters"], &changed["language"], &changed["period"]),
        (&json!({}), &json!("ru"), &json!("yesterday")),
        "{changed}"
    );
    let changed = fixture.ok(OPERATOR, Method::PATCH, &path, &json!({"kind": "digest"})).await;
    assert_eq!(
        (&changed["kind"], &changed["export"], &changed["period"]),
        (&json!("digest"), &Value::Null, &Value::Null),
        "{changed}"
    );
    fixture.request_run(&path).await;
    fixture.ok(OPERATOR, Method::DELETE, &path, &Value::Null).await;
    assert_eq!(fixture.send(OPERATOR, Method::GET, &path, &Value::Null).await.status, 404);
    for (operation, count) in [
        ("createReportSchedule", 1),
        ("updateReportSchedule", 3),
        ("runReportSchedule", 1),
        ("deleteReportSchedule", 1),
    ] {
        let audit = fixture.web.get(&format!("/api/v1/audit?operation={operation}&outcome=succeeded")).await;
        assert_eq!(audit["total"], count, "{operation} {audit}");
    }
}

#[tokio::test]
async fn destinations_without_their_settings_are_refused() {
    let plain = TestSystem::start(&[]).await;
    let web = plain.start_web().await;
    for (fields, expected) in [
        (json!({"destination": "object_store", "folder": "a"}), "EXPORT_STORE"),
        (json!({"destination": "email", "recipients": ["a@example.com"]}), "REPORT_EMAIL_ALLOWED"),
    ] {
        let mut body = json!({"name": "d", "cron": YEARLY});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let refused =
            web.request(Method::POST, SCHEDULES, Some(OPERATOR), Some(&body.to_string())).await.expect("a response");
        assert!(refused.status == 422 && refused.text.contains(expected), "{refused:?}");
    }
}
