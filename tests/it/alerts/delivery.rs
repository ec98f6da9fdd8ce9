//! Alerts reach each channel once, also if it was down; a channel that refuses a message for good fails the job visibly.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::fixture::RULES;
use crate::harness::eventually;
use crate::harness::notification_channels::{ChannelStub, SMTP_PASSWORD, TELEGRAM_TOKEN};
use crate::harness::programs::{Program, RunningProgram};
use crate::harness::test_system::{ADMIN, TestSystem};

const QUARANTINED: &str =
    "INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
                           VALUES (gen_random_uuid(), 'vima', 'payin', 'r', '', '', gen_random_uuid(), now(), now())";

async fn execute(system: &TestSystem, statement: &'static str) {
    sqlx::Executor::execute(&system.pool, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// As if the time of the next attempts had come.
async fn bring_forward(system: &TestSystem) {
    execute(system, "UPDATE jobs SET due_at = now() WHERE kind = 'deliver-notification' AND state = 'retrying'").await;
}

/// The report of `psp check`.
async fn check(system: &TestSystem, settings: &[(&'static str, &str)]) -> String {
    let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let mut program = RunningProgram::start(Program::Psp, &["check"], system.settings().into_iter().chain(settings));
    program.wait_for_exit(Duration::from_mins(1)).await;
    eventually("the report to be complete", || async {
        Some(program.output()).filter(|output| output.contains("alerts: email"))
    })
    .await
}

#[tokio::test]
async fn alerts_are_delivered_to_each_channel_despite_failures() {
    let system = TestSystem::start(&[]).await;
    let (telegram, mail) = (ChannelStub::telegram().await, ChannelStub::mail_server().await);
    let web = system.start_web().await;
    let settings = [
        ("TELEGRAM_BOT_TOKEN", TELEGRAM_TOKEN),
        ("TELEGRAM_CHAT_ID", "-7"),
        ("TELEGRAM_API_URL", telegram.url.as_str()),
        ("SMTP_URL", mail.url.as_str()),
        ("ALERT_EMAIL_FROM", "PSP <alerts@example.com>"),
        ("ALERT_EMAIL_TO", "finance@example.com, ops@example.com"),
    ];
    let checked = check(&system, &settings).await;
    for line in ["ok    alerts: telegram accepts messages", "ok    alerts: email accepts messages"] {
        assert!(checked.contains(line), "{line}: {checked}");
    }
    let worker = system.start_jobs_with(&["worker"], &settings);
    let rule = json!({"name": "Records cannot be read", "kind": "quarantine", "severity": "critical"}).to_string();
    let created = web.request(Method::POST, RULES, Some(ADMIN), Some(&rule)).await.expect("a response");
    assert_eq!(created.status, 201, "{created:?}");
    let rule = format!("{RULES}/{}", created.json()["id"].as_str().expect("an id"));

    // Both channels are down.
    telegram.refuse(Some(502));
    mail.refuse(Some(451));
    execute(&system, QUARANTINED).await;
    system.run_job("evaluate-alerts", None);
    tokio::join!(telegram.wait_for_refusal(), mail.wait_for_refusal());
    let retrying = "SELECT count(*) FROM jobs WHERE kind = 'deliver-notification' AND state = 'retrying'";
    eventually("both messages to be retried", || async { (system.number(retrying).await == 2).then_some(()) }).await;
    telegram.refuse(None);
    mail.refuse(None);
    bring_forward(&system).await;
    let (text, message) = tokio::join!(telegram.wait_for(1), mail.wait_for(1));
    assert!(
        text.starts_with("[critical] Records cannot be read\n1 records in quarantine; threshold 0\nfired "),
        "{text}"
    );
    for part in
        ["Subject: [critical] Records cannot be read", "To: finance@example.com, ops@example.com", "1 records in"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    system.wait_until_idle().await;

    // It is over.
    execute(&system, "DELETE FROM quarantine").await;
    system.run_job("evaluate-alerts", None);
    let (text, message) = tokio::join!(telegram.wait_for(2), mail.wait_for(2));
    assert!(text.starts_with("[resolved] Records cannot be read\n0 records in quarantine"), "{text}");
    assert!(message.contains("Subject: [resolved]"), "{message}");
    system.wait_until_idle().await;
    system.run_job("evaluate-alerts", None);
    assert_eq!((telegram.messages().len(), mail.messages().len()), (2, 2), "each once");

    // Telegram no longer knows the token; the mail server no longer accepts the address.
    telegram.refuse(Some(401));
    mail.refuse(Some(550));
    execute(&system, QUARANTINED).await;
    system.run_job("evaluate-alerts", None);
    let mut errors = eventually("both messages to fail", || async {
        let errors = sqlx::query_scalar!(r#"SELECT error AS "error!" FROM jobs WHERE state = 'failed' ORDER BY error"#);
        Some(errors.fetch_all(&system.pool).await.expect("a response")).filter(|errors| errors.len() == 2)
    })
    .await;
    errors.sort();
    assert!(errors[0].contains("Telegram replied 401") && errors[0].contains("TELEGRAM_BOT_TOKEN"), "{errors:?}");
    assert!(errors[1].contains("refused by the mail server (550)"), "{errors:?}");
    let checked = check(&system, &settings).await;
    assert!(
        checked.contains("warn  alerts: telegram: Telegram replied 401: refused; check TELEGRAM_BOT_TOKEN"),
        "{checked}"
    );
    assert!(!checked.contains(TELEGRAM_TOKEN), "{checked}");
    let output = worker.output();
    assert!(!output.contains(TELEGRAM_TOKEN) && !output.contains(SMTP_PASSWORD), "{output}");
    // A limit of Telegram is no failure. The web process that ends the alert knows no channel, the alert does.
    execute(&system, "DELETE FROM jobs WHERE state = 'failed'").await;
    telegram.refuse(Some(429));
    mail.refuse(None);
    let deleted = web.request(Method::DELETE, &rule, Some(ADMIN), None).await.expect("a response");
    assert_eq!(deleted.status, 200, "{deleted:?}");
    mail.wait_for(3).await;
    telegram.refuse(None);
    let text = telegram.wait_for(3).await;
    assert!(text.starts_with("[resolved] Records cannot be read\nthe rule was deleted"), "{text}");
    system.wait_until_idle().await;
}
