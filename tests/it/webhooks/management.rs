//! Endpoints as admins see them: created, changed, tested, rotated, disabled, replayed.

use psp_dashboard::domain::transaction::Source;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Endpoint, WEBHOOKS, bring_forward, counts, execute, new_transactions, ok, record, record_together, send};
use crate::harness::eventually;
use crate::harness::programs::{Program, run};
use crate::harness::test_system::{TestSystem, Web, items};
use crate::harness::webhook_receiver::{Answer, WebhookReceiver};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;

#[tokio::test]
async fn admins_manage_webhooks_and_their_secrets() {
    let system = TestSystem::start(&[]).await;
    let (web, worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let receiver = WebhookReceiver::start(Answer::Status(204)).await;
    refuses_invalid_properties(&web, &receiver).await;

    let endpoint = Endpoint::create(&web, &receiver, json!({"description": "finance", "events": ["new_*"]})).await;
    let webhook = endpoint.get(&web).await;
    assert_eq!(
        [&webhook["events"], &webhook["sources"], &webhook["enabled"], &webhook["created_by"]],
        [&json!(["new_*"]), &Value::Null, &json!(true), &json!("ada")],
        "{webhook}"
    );
    assert_eq!(items(&web.get(WEBHOOKS).await), &vec![webhook], "and its secret is not shown again");

    record(&system.pool, new_transactions(Source::Payshack, 7..8)).await;
    let first = receiver.wait_for(1).await.remove(0);
    first.assert_genuine(&endpoint.secret);

    // For a day, both secrets sign.
    let rotated = ok(&web, POST, &format!("{}/rotate-secret", endpoint.path), None).await;
    let new_secret = rotated["secret"].as_str().expect("a secret").to_owned();
    assert_ne!(new_secret, endpoint.secret);
    let test = ok(&web, POST, &format!("{}/test", endpoint.path), None).await;
    let both = receiver.wait_for(2).await.remove(1);
    assert_eq!((&both.json()["type"], both.signature.split(' ').count()), (&json!("test"), 2), "{both:?}");
    assert_eq!([both.signatures_by(&new_secret), both.signatures_by(&endpoint.secret)], [1, 1]);
    let path = format!("{}/deliveries/{}", endpoint.path, test["delivery_id"].as_str().expect("an id"));
    eventually("the test to be recorded", || async {
        let delivery = web.get(&path).await;
        (delivery["state"] == "delivered" && delivery["status_code"] == 204).then_some(())
    })
    .await;
    execute(&system.pool, "UPDATE webhooks SET previous_secret_until = now()").await;

    // A disabled endpoint gets tests only, and what happened meanwhile when it is enabled again.
    ok(&web, PATCH, &endpoint.path, Some(&json!({"enabled": false, "sources": ["vima"]}))).await;
    record(&system.pool, new_transactions(Source::Payshack, 8..9)).await;
    record(&system.pool, new_transactions(Source::Vima, 9..10)).await;
    ok(&web, POST, &format!("{}/test", endpoint.path), None).await;
    let test = receiver.wait_for(3).await.remove(2);
    assert_eq!(test.json()["type"], "test", "{test:?}");
    test.assert_genuine(&new_secret);
    ok(&web, PATCH, &endpoint.path, Some(&json!({"enabled": true}))).await;
    assert_eq!(counts(&receiver.wait_for(4).await[3..]), [9]);

    secrets_are_nowhere(&system, &web, &[&endpoint.secret, &new_secret], &worker.output()).await;
    let audit = web.get("/api/v1/audit?operation=updateWebhook&outcome=succeeded").await;
    let [enabled, disabled] = items(&audit).as_slice() else { panic!("{audit}") };
    assert_eq!((&disabled["before"]["enabled"], &disabled["after"]["sources"]), (&json!(true), &json!(["vima"])));
    assert_eq!((&enabled["before"]["enabled"], &enabled["after"]["enabled"]), (&json!(false), &json!(true)));

    ok(&web, Method::DELETE, &endpoint.path, None).await;
    for (method, path) in [(GET, endpoint.path.clone()), (GET, format!("{}/deliveries", endpoint.path)), (GET, path)] {
        assert_eq!(send(&web, method, &path, None).await.status, 404, "{path}");
    }
    assert_eq!(system.number("SELECT count(*) FROM webhook_deliveries").await, 0);
    let keyless = system.start_web_with(&[("WEBHOOK_ENCRYPTION_KEY", "")]).await;
    let refused = send(&keyless, POST, WEBHOOKS, Some(&json!({"url": receiver.url}))).await;
    assert!(refused.status == 409 && refused.text.contains("WEBHOOK_ENCRYPTION_KEY"), "{refused:?}");
}

#[tokio::test]
async fn check_says_whether_the_secrets_can_be_read() {
    let system = TestSystem::start(&[]).await;
    let (key, other) = ("a".repeat(64), "b".repeat(64));
    let check = |key: &str| {
        let settings = system.settings().into_iter().chain([("WEBHOOK_ENCRYPTION_KEY", key.to_owned())]);
        let output = run(Program::Psp, &["check"], settings);
        assert!(output.status.success(), "the programs start: {output:?}");
        output.stdout.lines().find(|line| line.contains("webhooks: ")).expect("a line").to_owned()
    };
    assert!(check("").starts_with("ok    webhooks: there are none"));
    let (web, receiver) = (
        system.start_web_with(&[("WEBHOOK_ENCRYPTION_KEY", &key)]).await,
        WebhookReceiver::start(Answer::Status(204)).await,
    );
    Endpoint::create(&web, &receiver, json!({})).await;
    for (key, finding) in [
        (String::new(), "warn  webhooks: nothing can be delivered to 1; set WEBHOOK_ENCRYPTION_KEY"),
        (other.clone(), "warn  webhooks: WEBHOOK_ENCRYPTION_KEY reads the secrets of 0 of 1"),
        (format!("{other},{key}"), "ok    webhooks: WEBHOOK_ENCRYPTION_KEY reads the secrets of all 1"),
    ] {
        let line = check(&key);
        assert!(line.starts_with(finding), "{line}");
    }
}

async fn refuses_invalid_properties(web: &Web, receiver: &WebhookReceiver) {
    let url = &receiver.url;
    for (properties, field) in [
        (json!({}), "url"),
        (json!({"url": "http://example.com/"}), "url"),
        (json!({"url": "https://10.0.0.1/"}), "url"),
        (json!({"url": "https://169.254.169.254/latest/meta-data"}), "url"),
        (json!({"url": "https://[::ffff:10.0.0.1]/"}), "url"),
        (json!({"url": "https://user:password@example.com/"}), "url"),
        (json!({"url": "https://example.com:25/"}), "url"),
        (json!({"url": url, "events": ["nonsense"]}), "events"),
        (json!({"url": url, "events": []}), "events"),
        (json!({"url": url, "sources": []}), "sources"),
        (json!({"url": url, "sources": ["visa"]}), "sources[0]"),
        (json!({"url": url, "description": "a".repeat(501)}), "description"),
        (json!({"url": url, "secret": "whsec_mine"}), "secret"),
    ] {
        let refused = send(web, POST, WEBHOOKS, Some(&properties)).await;
        assert!(refused.status == 422, "{properties}: {refused:?}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{properties}: {refused:?}");
    }
    let production = "https://hooks.example.com/psp?tenant=7";
    let created = ok(web, POST, WEBHOOKS, Some(&json!({"url": production, "enabled": false}))).await;
    let path = format!("{WEBHOOKS}/{}", created["id"].as_str().expect("an id"));
    for change in [json!({}), json!({"url": "https://127.1/x#y"}), json!({"events": []}), json!({"enabled": "perhaps"})]
    {
        assert_eq!(send(web, PATCH, &path, Some(&change)).await.status, 422, "{change}");
    }
    ok(web, Method::DELETE, &path, None).await;
}

/// Neither in the database nor in responses nor in logs.
async fn secrets_are_nowhere(system: &TestSystem, web: &Web, secrets: &[&str], log_of_worker: &str) {
    let rows = sqlx::query_scalar!(
        r#"SELECT concat((SELECT string_agg(webhooks::text, '') FROM webhooks),
                         (SELECT string_agg(webhook_deliveries::text, '') FROM webhook_deliveries),
                         (SELECT string_agg(audit_log::text, '') FROM audit_log),
                         (SELECT string_agg(jobs::text, '') FROM jobs)) AS "text!""#
    );
    let rows = rows.fetch_one(&system.pool).await.expect("the database responds");
    for secret in secrets {
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, &secret["whsec_".len()..]);
        let digits = hex::encode(bytes.expect("base64"));
        for (place, text) in [("database", &*rows), ("log of web", &web.program.output()), ("log", log_of_worker)] {
            assert!(!text.contains(&secret["whsec_".len()..]) && !text.contains(&digits), "{place}");
        }
    }
}

/// Failures of all kinds, and what a person can do about them.
#[tokio::test]
async fn failed_deliveries_are_retried_disable_the_endpoint_and_can_be_replayed() {
    let system = TestSystem::start(&[]).await;
    let (web, mut worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let receiver = WebhookReceiver::start(Answer::RetryAfter("7200")).await;
    let endpoint = Endpoint::create(&web, &receiver, json!({"events": ["new_transactions"]})).await;
    let deliveries = |query: &'static str| endpoint.deliveries(&web, query);

    // Retry-After delays the next attempt.
    record(&system.pool, new_transactions(Source::Vima, 1..4)).await;
    receiver.wait_for_requests(1).await;
    let waits = "SELECT count(*) FROM webhook_deliveries
                  WHERE attempts = 1 AND next_attempt_at BETWEEN now() + interval '1 hour' AND now() + interval '3 hours'";
    eventually("the attempt to be recorded", || async { (system.number(waits).await == 1).then_some(()) }).await;

    // After the last retry, the next message gets its turn.
    receiver.set(Answer::Status(500));
    execute(&system.pool, "UPDATE webhook_deliveries SET attempts = 9 WHERE attempts = 1").await;
    bring_forward(&system.pool).await;
    eventually("the first message to fail, and the second to be attempted", || async {
        let second = "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending' AND attempts = 1";
        (deliveries("&state=failed").await.len() == 1 && system.number(second).await == 1).then_some(())
    })
    .await;

    // Days of failures disable the endpoint.
    execute(&system.pool, "UPDATE webhooks SET failing_since = now() - interval '121 hours'").await;
    bring_forward(&system.pool).await;
    let webhook = eventually_disabled(&web, &endpoint).await;
    assert!(webhook["disabled_reason"].as_str().expect("a reason").contains("every attempt has failed since"));
    let requests = receiver.received().len();
    receiver.set(Answer::Status(200));
    bring_forward(&system.pool).await;
    ok(&web, PATCH, &endpoint.path, Some(&json!({"enabled": true}))).await;
    assert_eq!(counts(&receiver.wait_for(2).await), [2, 3], "those that waited");
    assert_eq!(receiver.received().len(), requests + 2, "nothing was sent while it was disabled");
    let webhook = endpoint.get(&web).await;
    assert_eq!([&webhook["disabled_reason"], &webhook["failing_since"]], [&Value::Null, &Value::Null], "{webhook}");

    // What has failed, or was delivered, is replayed with its id.
    let since = |time: &str| json!({"since": time});
    let path = format!("{}/replay-failed", endpoint.path);
    assert_eq!(ok(&web, POST, &path, Some(&since("2999-01-01T00:00:00Z"))).await["replayed"], 0);
    assert_eq!(ok(&web, POST, &path, Some(&since("2026-01-01T00:00:00Z"))).await["replayed"], 1);
    let accepted = receiver.wait_for(3).await;
    assert_eq!(counts(&accepted), [2, 3, 1]);
    assert_eq!(accepted[2].id, receiver.received()[0].id);
    eventually("no delivery to wait", || async { deliveries("&state=pending").await.is_empty().then_some(()) }).await;
    let second = deliveries("&type=new_transactions").await[1]["id"].as_str().expect("an id").to_owned();
    let replay = format!("{}/deliveries/{second}/replay", endpoint.path);
    let requests = receiver.received().len();
    assert_eq!(ok(&web, POST, &replay, None).await["attempts"], 0);
    assert_eq!(receiver.wait_for_requests(requests + 1).await.id, accepted[0].id, "the same id again");

    // 410: the receiver wants nothing any more.
    receiver.set(Answer::Status(410));
    record_together(&system.pool, new_transactions(Source::Vima, 4..6)).await;
    let webhook = eventually_disabled(&web, &endpoint).await;
    assert_eq!(webhook["disabled_reason"], "the receiver replied 410 Gone");
    let waiting = deliveries("&state=pending").await;
    assert_eq!(waiting.len(), 1, "the other message waits");
    let replay = format!("{}/deliveries/{}/replay", endpoint.path, waiting[0]["id"].as_str().expect("an id"));
    assert_eq!(send(&web, POST, &replay, None).await.status, 409, "it waits already");
    let audit = web.get("/api/v1/audit?operation=disableWebhook").await;
    assert_eq!((items(&audit).len(), &items(&audit)[0]["principal"]), (2, &json!("system")), "{audit}");

    // Events are kept for a day. An endpoint that was disabled for longer gets a message that some are missing.
    record(&system.pool, new_transactions(Source::Vima, 6..8)).await;
    execute(&system.pool, "DELETE FROM events WHERE id < (SELECT max(id) FROM events)").await;
    receiver.set(Answer::Status(200));
    let accepted = receiver.accepted_once().len();
    ok(&web, PATCH, &endpoint.path, Some(&json!({"enabled": true}))).await;
    let accepted = receiver.wait_for(accepted + 3).await.split_off(accepted);
    let types: Vec<Value> = accepted.iter().map(|request| request.json()["type"].clone()).collect();
    assert_eq!(types, ["new_transactions", "gap", "new_transactions"]);
    assert_eq!(counts(&[accepted[0].clone(), accepted[2].clone()]), [5, 7]);
    accepted[1].assert_genuine(&endpoint.secret);

    // A worker with other settings sends nothing to this machine, and cannot sign without the key.
    for (setting, problem) in
        [("ALLOW_LOOPBACK_WEBHOOKS", "must begin with https"), ("WEBHOOK_ENCRYPTION_KEY", "cannot be read")]
    {
        worker.kill();
        let value = if setting == "WEBHOOK_ENCRYPTION_KEY" { "b".repeat(64) } else { "false".to_owned() };
        worker = system.start_jobs_with(&["worker"], &[(setting, &value)]);
        let requests = receiver.received().len();
        let test = ok(&web, POST, &format!("{}/test", endpoint.path), None).await;
        let path = format!("{}/deliveries/{}", endpoint.path, test["delivery_id"].as_str().expect("an id"));
        let error = eventually("the test to fail", || async {
            let delivery = web.get(&path).await;
            delivery["error"].as_str().filter(|_| delivery["state"] == "failed").map(str::to_owned)
        })
        .await;
        assert!(error.contains(problem), "{error}");
        assert_eq!(receiver.received().len(), requests);
    }
    assert_eq!(endpoint.get(&web).await["enabled"], true, "tests do not disable an endpoint");
}

async fn eventually_disabled(web: &Web, endpoint: &Endpoint) -> Value {
    eventually("the webhook to be disabled", || async {
        Some(endpoint.get(web).await).filter(|webhook| webhook["enabled"] == false)
    })
    .await
}
