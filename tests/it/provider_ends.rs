//! Ends of lists, and payments that a provider no longer knows: neither fails a run. A refusal of a first page does.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::test_system::TestSystem;

const PAYINS: &str = "payin/transaction/fetch";
const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);

#[tokio::test]
async fn list_ends_in_every_form_and_a_refused_first_page_fails() {
    let system = TestSystem::start(&["--history-days", "2", "--per-day", "60"]).await;
    let settings = [("FX_RATES_URL", &*system.sandbox.fx_url())];
    let _worker = system.start_jobs_with(&["worker"], &settings);
    for (vima, payshack) in [
        ("null", "data-null"),
        ("operations-null", "data-list"),
        ("data-list", "transactions-null"),
        ("204", "204"),
        ("list", "404"),
        ("list", "400"),
        ("list", "success-false"),
    ] {
        system.sandbox.set_switches(json!({"vima_empty_list": vima, "payshack_empty_list": payshack})).await;
        system.sandbox.create_and_change(5, 5).await;
        system.sync_both().await;
        system.run_job("sync-payshack", FULL);
        assert_matches_sandbox(&system).await;
    }
    let unclean = "SELECT count(*) FROM sync_runs WHERE status <> 'succeeded'";
    assert_eq!(system.number(unclean).await, 0, "no end of a list is an error");

    let first_page = |kind: &str| json!({"path": kind, "query": ["page=1"], "status": 404, "body": "{}"});
    system.sandbox.script(first_page(PAYINS)).await;
    let refused = system.try_run_job("sync-payshack", None);
    assert!(!refused.status.success() && refused.stderr.contains("HTTP 404"), "{refused:?}");
    system.sandbox.clear_script().await;

    // UTF-16 with its byte order mark.
    let body = "/v8AewAiAGIAYQBzAGUAIgA6ACIAVQBTAEQAIgAsACIAcgBhAHQAZQBzACIAOgB7ACIASQBOAFIAIgA6ADgAMAB9AH0=";
    system.sandbox.script(json!({"path": "/fx/latest", "times": 1, "body_base64": body})).await;
    system.run_job("refresh-fx-rates", None);
    assert_eq!(system.number("SELECT count(*) FROM exchange_rates WHERE currency = 'INR'").await, 1);
}

/// Inserts open pay-ins that the sandbox does not have, older than any window.
async fn insert_unknown_payins(system: &TestSystem, count: i32) {
    let inserted = sqlx::query!(
        r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, amount, currency, status, created_at,
                  ingested_at, raw_data)
           SELECT gen_random_uuid(), 'payshack', 'payin', 'gone-' || n, '\x00', n, 'INR', 'pending',
                  now() - interval '10 days', now(), '{}' FROM generate_series(1, $1) AS n"#,
        count
    );
    inserted.execute(&system.pool).await.expect("the payments are new");
}

#[tokio::test]
async fn unknown_payment_is_a_warning_at_increasing_intervals() {
    let system = TestSystem::start(&["--history-days", "2", "--per-day", "30"]).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    insert_unknown_payins(&system, 1).await;
    let unknown = ["list", "data-null", "data-list", "transaction-null", "404", "410", "422", "success-false"];
    let mut forms: Vec<(&str, Option<Value>)> = unknown.map(|form| (form, None)).into();
    // Not about the payment, but no reason to fail either.
    forms.push(("list", Some(json!({"query": ["transactionId=gone-1"], "status": 302}))));
    for (turn, (form, script)) in (1_i64..).zip(forms) {
        system.sandbox.set_switches(json!({"payshack_unknown_payment": form})).await;
        let scripted = script.is_some();
        if let Some(script) = script {
            system.sandbox.script(script).await;
        }
        make_due_with_an_older_session(&system).await;
        system.run_job("sync-payshack", None);
        let run = web.get("/api/v1/sync/runs?source=payshack&limit=1").await["items"][0].clone();
        assert_eq!(
            (&run["status"], &run["not_found"]),
            (&json!("succeeded"), &json!(i64::from(!scripted))),
            "{form}: {run}"
        );
        assert_eq!(system.number("SELECT failures::bigint FROM payment_rechecks").await, turn, "{form}");
    }
    let waits = "SELECT EXTRACT(HOUR FROM next_at - now())::bigint FROM payment_rechecks";
    assert!(system.number(waits).await >= 22, "fifteen minutes, doubled eight times, and at most a day");
    system.run_job("sync-payshack", None);
    assert_eq!(system.number("SELECT failures::bigint FROM payment_rechecks").await, 9, "it is not due");
    let watermark = "SELECT count(*) FROM sync_streams, sync_runs WHERE stream = 'payins' AND watermark = started_at";
    assert!(system.number(watermark).await > 0, "the watermark advances");
    let logins = &system.sandbox.get("requests").await["logins"];
    assert_eq!(*logins, json!({"accepted": 1, "refused": 0}), "the session is kept");
    assert_eq!(system.number("SELECT count(*) FROM jobs WHERE attempt > 1 OR state <> 'succeeded'").await, 0);

    sqlx::query!("UPDATE transactions SET status = 'failed' WHERE source_id = 'gone-1'")
        .execute(&system.pool)
        .await
        .expect("the payment exists");
    system.run_job("sync-payshack", None);
    let left = "SELECT count(*) FROM payment_rechecks WHERE item = 'gone-1'";
    assert_eq!(system.number(left).await, 0, "a final payment is forgotten");
}

async fn make_due_with_an_older_session(system: &TestSystem) {
    sqlx::query!("UPDATE payment_rechecks SET next_at = now()").execute(&system.pool).await.expect("a response");
    let older = sqlx::query!(
        r#"UPDATE provider_sessions SET session = jsonb_set(session::jsonb, '{created_at}',
                  to_jsonb(now() - interval '2 minutes'))::json"#
    );
    older.execute(&system.pool).await.expect("a response");
}

/// However long the runs take: which payments have their turn does not depend on the time.
#[tokio::test]
async fn every_open_payment_has_its_turn() {
    let system = TestSystem::start(&["--history-days", "2", "--per-day", "30"]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("PAYSHACK_SYNC_INTERVAL_SECONDS", "3600")]);
    system.sync_both().await;
    insert_unknown_payins(&system, 120).await;
    for requested in [50, 100, 120, 120] {
        system.run_job("sync-payshack", None);
        assert_eq!(system.number("SELECT count(*) FROM payment_rechecks").await, requested);
    }
    assert_eq!(system.number("SELECT sum(not_found)::bigint FROM sync_runs").await, 120);
    // Known ones are requested again and again, those first that waited for the longest time.
    system.sandbox.send(Method::DELETE, "requests", None).await;
    let known = sqlx::query!("UPDATE payment_rechecks SET failures = 0, next_at = now()");
    known.execute(&system.pool).await.expect("a response");
    for _ in 0..3 {
        system.run_job("sync-payshack", None);
    }
    let requests = system.sandbox.last_requests(10_000).await;
    let ids: std::collections::BTreeSet<&str> =
        requests.iter().filter_map(|request| request["query"].as_str()?.strip_prefix("transactionId=")).collect();
    assert_eq!(ids.len(), 120);
}
