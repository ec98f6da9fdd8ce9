//! The figures of a digest are those of the metrics, and the file of a scheduled export is that of the direct one.

use psp_dashboard::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{Fixture, decoded};
use crate::harness::test_system::{OPERATOR, header};

/// Asserts that the figures of a line are those of the metrics for its day.
async fn assert_line(fixture: &Fixture, date: &str, line: &Value) {
    let currency = line["currency"].as_str().expect("a currency");
    let project = line["project"].as_str().map_or_else(String::new, |project| format!("&project={project}"));
    let query = |date: &str| {
        format!(
            "/api/v1/metrics/overview?from_date={date}&to_date={date}&timezone=Asia/Kolkata&currency={currency}{project}"
        )
    };
    let day: chrono::NaiveDate = date.parse().expect("a day");
    for (days, figures) in [(0, line), (1, &line["day_before"]), (7, &line["week_before"])] {
        let date = (day - chrono::Days::new(days)).to_string();
        let overview = fixture.web.get(&query(&date)).await;
        let success = &overview["by_status"]["success"];
        let expected = [&overview["total_count"], &overview["total_amount"], &success["count"], &overview["total_fee"]];
        let actual = [&figures["count"], &figures["amount"], &figures["success_count"], &figures["fee"]];
        assert_eq!(actual, expected, "{date} {line}");
        let success_amount = success["amount"].as_str().unwrap_or("0.00");
        assert_eq!(figures["success_amount"], success_amount, "{date} {line}");
        if days == 0 {
            // Without payments, the overview has 0, for pages of the replaced service.
            let rate = if line["count"] == 0 { &Value::Null } else { &overview["conversion_rate"] };
            assert_eq!(&line["conversion_rate"], rate, "{line}");
        }
    }
}

#[tokio::test]
async fn digest_has_the_figures_of_the_metrics_and_says_what_is_missing() {
    let fixture = Fixture::start(&["--per-day", "60", "--discrepancies", "0.3"]).await;
    let _worker = fixture.start_jobs(&["worker"]);
    fixture.system.sync_both().await;
    fixture.system.run_job("reconcile", None);
    // Some days are packed.
    fixture.system.run_job("housekeeping", None);
    let day = SystemClock.now().with_timezone(&chrono_tz::Asia::Kolkata).date_naive() - chrono::Days::new(1);
    let (date, due_at) = (day.to_string(), format!("{}T08:00:00Z", day + chrono::Days::new(1)));
    let webhook =
        json!({"destination": "webhook", "webhook_id": fixture.create_webhook().await, "timezone": "Asia/Kolkata"});
    let run = fixture.run_at(&fixture.create(OPERATOR, webhook).await, &due_at).await;
    let message = fixture.receiver.wait_for(1).await.remove(0).json();
    assert_eq!((&message["type"], &message["data"]["run_id"]), (&json!("report_ready"), &run["id"]), "{message}");
    let digest = &message["data"]["digest"];
    assert_eq!((&digest["date"], &digest["timezone"]), (&json!(date), &json!("Asia/Kolkata")), "{digest}");
    let (totals, projects) =
        (digest["totals"].as_array().expect("lines"), digest["projects"].as_array().expect("lines"));
    assert!(!totals.is_empty() && projects.len() > totals.len(), "{digest}");
    for line in totals.iter().chain(projects.iter().filter(|line| !line["project"].is_null())) {
        assert_line(&fixture, &date, line).await;
    }
    let counts = |lines: &[Value]| lines.iter().filter_map(|line| line["count"].as_i64()).sum::<i64>();
    assert_eq!(counts(totals), counts(projects));
    let incomplete = digest["sources"].as_array().expect("sources").iter().any(|source| source["is_complete"] == false);
    assert_eq!(digest["provisional"], incomplete, "{digest}");
    let opened = "SELECT count(*) FROM discrepancies WHERE state IN ('open', 'acknowledged')";
    assert_eq!(digest["discrepancies"]["unresolved"], fixture.system.number(opened).await, "{digest}");
    let at_risk: i64 =
        digest["value_at_risk"].as_array().expect("a list").iter().filter_map(|risk| risk["count"].as_i64()).sum();
    assert_eq!(digest["discrepancies"]["unresolved"], at_risk, "{digest}");

    // What happened on the day, and a source that was not read to its end.
    fixture
        .execute(&format!(
            "UPDATE sync_streams SET watermark = '{date}T12:00:00Z' WHERE source = 'payshack' AND watermark IS NOT NULL;
             UPDATE discrepancy_changes SET changed_at = '{date}T10:00:00Z';
             INSERT INTO discrepancy_changes (discrepancy_id, changed_at, changed_by, from_state, to_state)
             SELECT id, '{date}T11:00:00Z', 'ada', 'open', 'resolved' FROM discrepancies ORDER BY id LIMIT 2;
             INSERT INTO alerts (id, rule_name, kind, severity, subject, reason, message, judged_at, fired_at)
             VALUES (gen_random_uuid(), 'No payments', 'no_payments', 'critical', '', 'condition', 'none', now(), '{date}T10:00:00Z'),
                    (gen_random_uuid(), 'Other day', 'no_payments', 'critical', '', 'condition', 'none', now(), '{date}T00:00:00Z'::timestamptz - interval '1 second');
             INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at, error)
             VALUES (gen_random_uuid(), 'refresh-fx-rates', '{{}}', 'maintenance', 0, 'failed', 'schedule', now(), 1, now(),
                     '{date}T10:00:00Z', 'down')"
        ))
        .await;
    let opened = fixture.system.number("SELECT count(*) FROM discrepancy_changes WHERE from_state IS NULL").await;
    // By mail, in Russian.
    let russian =
        json!({"destination": "email", "recipients": ["Finance@example.com"], "language": "ru", "name": "Утро"});
    let russian = fixture.create(OPERATOR, russian).await;
    let run = fixture.run_at(&russian, &due_at).await;
    assert_eq!(run["result"], json!({"recipients": 1, "provisional": true}), "{run}");
    let mail = decoded(&fixture.mail.wait_for(1).await);
    for part in [
        "To: finance@example.com",
        "предварительная",
        "payshack прочитан только до",
        &format!("За день открыто: {opened}, закрыто: 2;"),
        "No payments (critical): none",
        "refresh-fx-rates: окончательно не выполнено: 1 задача",
        "<h2>Проекты</h2>",
        "по расписанию отчётов «Утро»",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    assert!(!mail.contains("Other day"), "{mail}");
    // In a folder, as HTML.
    let folder = json!({"destination": "object_store", "folder": "finance/daily"});
    let run = fixture.run_at(&fixture.create(OPERATOR, folder).await, &due_at).await;
    let html = fixture.file(&run);
    assert!(
        html.contains("(provisional)</h1>") && html.contains(&format!("<li>{date} 10:00 (UTC): No payments")),
        "{html}"
    );
    assert!(run["result"]["file"].as_str().expect("a file").ends_with(&format!("_digest_{date}.html")), "{run}");
}

#[tokio::test]
async fn scheduled_export_is_the_direct_export_of_its_period() {
    let fixture = Fixture::start(&["--per-day", "60", "--discrepancies", "0.3"]).await;
    let _worker = fixture.start_jobs(&["worker"]);
    fixture.system.sync_both().await;
    let export = json!({
        "kind": "export", "export": "transactions", "period": "last_7_days", "timezone": "Asia/Kolkata",
        "filters": {"status": ["success", "failed"]}, "columns": ["source_id", "amount", "created_at"],
    });
    let with = |fields: Value| {
        let mut schedule = export.clone();
        schedule.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        schedule
    };
    let folder = fixture.create(OPERATOR, with(json!({"destination": "object_store", "folder": "exports"}))).await;
    let run = fixture.run(&folder).await;
    let file = fixture.file(&run);
    let due_at: chrono::DateTime<chrono::Utc> = run["due_at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
    let today = due_at.with_timezone(&chrono_tz::Asia::Kolkata).date_naive();
    let (from, to) = (today - chrono::Days::new(7), today - chrono::Days::new(1));
    let direct = format!(
        "/api/v1/export/transactions?from_date={from}&to_date={to}&timezone=Asia/Kolkata&status=success,failed&columns=source_id,amount,created_at"
    );
    let direct = fixture.web.download(OPERATOR, &direct, &[]).await;
    assert!(header(direct.headers(), "content-disposition").contains(&format!("transactions_{from}_{to}_")));
    let direct = direct.text().await.expect("a file");
    assert!(direct.lines().count() > 50, "{direct}");
    assert_eq!(file, direct);
    // It does not expire with exported files.
    let store = psp_dashboard::objects::ObjectSettings::Folder(fixture.folder.path().to_owned());
    let store = psp_dashboard::objects::ObjectFiles::open(&store).expect("a folder");
    let pruned = store.prune(SystemClock.now() + chrono::TimeDelta::days(400)).await.expect("a folder");
    assert_eq!(pruned, 1, "the file of the export");
    assert_eq!(fixture.file(&run), file);

    // By mail: a link, and no data.
    let email = with(json!({"destination": "email", "recipients": ["a@example.com"], "name": "Payments"}));
    let run = fixture.run(&fixture.create(OPERATOR, email).await).await;
    let mail = decoded(&fixture.mail.wait_for(1).await);
    let link =
        format!("https://dash.example.com/api/v1/exports/{}/download", run["export_id"].as_str().expect("an id"));
    assert!(mail.contains(&link) && mail.contains("Subject: Report: Payments"), "{mail}");
    let first = direct.lines().nth(1).and_then(|line| line.split(',').next()).expect("a payment");
    assert!(!mail.contains(first), "{mail}");
    let path = link.strip_prefix("https://dash.example.com").expect("a path");
    let downloaded = fixture.web.download(OPERATOR, path, &[]).await;
    assert_eq!(downloaded.text().await.expect("a file"), direct);

    // To a webhook: where it is.
    let webhook_id = fixture.create_webhook().await;
    let webhook = with(json!({"destination": "webhook", "webhook_id": webhook_id}));
    let run = fixture.run(&fixture.create(OPERATOR, webhook).await).await;
    let message = fixture.receiver.wait_for(1).await.remove(0).json();
    let export = &message["data"]["export"];
    assert_eq!((&message["data"]["kind"], &export["id"]), (&json!("export"), &run["export_id"]), "{message}");
    assert_eq!(export["rows"], direct.lines().count() - 1, "{message}");
    let ordered = fixture.web.get("/api/v1/audit?operation=orderExport").await;
    assert_eq!((&ordered["total"], &ordered["items"][0]["principal"]), (&json!(3), &json!("otto")), "{ordered}");

    // Discrepancies of all days, and clients, which have none.
    for (export, period) in
        [("reconciliation", json!("yesterday")), ("reconciliation", Value::Null), ("payshack-clients", Value::Null)]
    {
        let schedule = json!({
            "kind": "export", "export": export, "period": period, "destination": "object_store", "folder": "others", "format": "ndjson",
        });
        let path = fixture.create(OPERATOR, schedule).await;
        let file = fixture.run(&path).await["result"]["file"].as_str().expect("a file").to_owned();
        assert!(file.contains(export), "{file}");
        let changed = fixture.ok(OPERATOR, Method::PATCH, &path, &json!({"format": "csv"})).await;
        assert_eq!(
            (&changed["format"], &changed["export"], &changed["period"]),
            (&json!("csv"), &json!(export), &period)
        );
    }
    fixture.system.wait_until_idle().await;
}
