//! Destinations that fail: what is retried, what is not, and what people see of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::harness::eventually;
use crate::harness::test_system::{ADMIN, OPERATOR};
use crate::harness::webhook_receiver::Answer;

#[tokio::test]
async fn failed_destinations_are_retried_or_end_the_run_with_a_reason() {
    let fixture = Fixture::start(&[]).await;
    let worker = fixture.start_jobs(&["worker"]);
    let email = fixture.create(OPERATOR, json!({"destination": "email", "recipients": ["a@example.com"]})).await;

    // The mail server is down for a while.
    fixture.mail.refuse(Some(451));
    let run = fixture.request_run(&email).await;
    fixture.mail.wait_for_refusal().await;
    eventually("the report to be retried", || async {
        let retrying = "SELECT count(*) FROM jobs WHERE kind = 'deliver-report' AND state = 'retrying'";
        (fixture.system.number(retrying).await == 1).then_some(())
    })
    .await;
    fixture.mail.refuse(None);
    fixture.execute("UPDATE jobs SET due_at = now() WHERE state = 'retrying'").await;
    let run = fixture.wait_for(&email, &run, "delivered").await;
    let message = fixture.mail.wait_for(1).await;
    let message_id = format!("Message-ID: <{}@psp-dashboard>", run["id"].as_str().expect("an id"));
    assert!(message.contains(&message_id) && message.contains("multipart/alternative"), "{message}");

    // It refuses the address for good: the run fails, visibly; a person retries the job.
    fixture.mail.refuse(Some(550));
    let refused = fixture.request_run(&email).await;
    let job = format!("/api/v1/jobs/{}", refused["job_id"].as_str().expect("an id"));
    eventually("the job to fail", || async { (fixture.web.get(&job).await["state"] == "failed").then_some(()) }).await;
    fixture.system.run_job("run-report-schedules", None);
    let failed = fixture.wait_for(&email, &refused, "failed").await;
    let error = failed["error"].as_str().expect("an error");
    assert!(error.contains("refused by the mail server (550)") && error.contains("the recipients"), "{failed}");
    fixture.mail.refuse(None);
    fixture.ok(OPERATOR, Method::POST, &format!("{job}/retry"), &Value::Null).await;
    let delivered = fixture.wait_for(&email, &refused, "delivered").await;
    assert!(delivered["error"].is_null(), "{delivered}");
    assert_eq!(fixture.mail.messages().len(), 2);

    // A receiver that is down is the business of the delivery; a webhook that is disabled, or gone, ends the run.
    let webhook_id = fixture.create_webhook().await;
    let webhook = fixture.create(OPERATOR, json!({"destination": "webhook", "webhook_id": webhook_id})).await;
    fixture.receiver.set(Answer::Status(503));
    let run = fixture.run(&webhook).await;
    fixture.receiver.wait_for_requests(1).await;
    fixture.receiver.set(Answer::Status(200));
    fixture.execute("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE state = 'pending'").await;
    fixture.receiver.wait_for(1).await;
    let webhook_path = format!("/api/v1/webhooks/{}", webhook_id.as_str().expect("an id"));
    let delivery = format!("{webhook_path}/deliveries/{}", run["result"]["delivery_id"].as_str().expect("an id"));
    assert_eq!(fixture.web.get(&delivery).await["type"], "report_ready");
    for (change, expected) in [
        (Method::PATCH, "the webhook of the schedule is disabled"),
        (Method::DELETE, "the webhook of the schedule no longer exists"),
    ] {
        let body = if change == Method::PATCH { json!({"enabled": false}) } else { Value::Null };
        fixture.ok(ADMIN, change, &webhook_path, &body).await;
        let run = fixture.request_run(&webhook).await;
        eventually("the job to fail", || async {
            let failed = "SELECT count(*) FROM report_runs JOIN jobs ON jobs.id = job_id
                           WHERE report_runs.state = 'pending' AND jobs.state = 'failed'";
            (fixture.system.number(failed).await == 1).then_some(())
        })
        .await;
        fixture.system.run_job("run-report-schedules", None);
        let failed = fixture.wait_for(&webhook, &run, "failed").await;
        assert!(failed["error"].as_str().is_some_and(|error| error.contains(expected)), "{failed}");
    }
    assert_eq!(fixture.receiver.accepted_once().len(), 1);

    // An export that cannot be created ends the run too.
    let export = json!({
        "kind": "export", "export": "transactions", "period": "yesterday", "destination": "email", "recipients": ["a@example.com"],
    });
    let export = fixture.create(OPERATOR, export).await;
    fixture.ok(ADMIN, Method::POST, "/api/v1/queues/export/pause", &Value::Null).await;
    let run = fixture.request_run(&export).await;
    let ordered = eventually("the export to be ordered", || async {
        let runs = fixture.runs(&export).await;
        runs.into_iter().find(|known| known["id"] == run["id"] && !known["export_id"].is_null())
    })
    .await;
    let path = format!("/api/v1/exports/{}", ordered["export_id"].as_str().expect("an id"));
    fixture.ok(OPERATOR, Method::DELETE, &path, &Value::Null).await;
    fixture.system.run_job("run-report-schedules", None);
    let failed = fixture.wait_for(&export, &run, "failed").await;
    assert!(failed["error"].as_str().is_some_and(|error| !error.is_empty()), "{failed}");
    let output = worker.output();
    assert!(!output.contains(crate::harness::notification_channels::SMTP_PASSWORD), "{output}");
}
