//! The quarantine: malformed records are listed with their reason, leave it when a valid version arrives, and can be replayed.

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::{Claim, JobId, NewJob, REPLAY_QUARANTINE, Trigger};
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::domain::upsert::RulesGeneration;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::rate_cache::RateCache;
use psp_dashboard::operations::replay_quarantine::{ReplayRules, replay_quarantine};
use psp_dashboard::providers::payshack::Projects;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::harness::consistency::{assert_matches_sandbox, assert_rollups_match_transactions};
use crate::harness::eventually;
use crate::harness::programs::{Output, Program, run};
use crate::harness::test_system::{ApiResponse, OPERATOR, TestSystem, VIEWER, Web};

const LIST: &str = "/api/v1/sync/quarantine";

/// A record as an older release would have quarantined it.
struct Old<'a> {
    source: &'a str,
    kind: &'a str,
    raw: &'a [u8],
    seen_at: DateTime<Utc>,
}

impl<'a> Old<'a> {
    fn new(source: &'a str, kind: &'a str, raw: &'a [u8]) -> Self {
        Self { source, kind, raw, seen_at: SystemClock.now() }
    }

    async fn keep(&self, system: &TestSystem) -> Uuid {
        let digest = Sha256::digest(self.raw);
        sqlx::query_scalar!(
            r#"INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
               VALUES ($1, $2, $3, 'as an older release had it', $4, $5, $1, $6, $6) RETURNING id"#,
            Uuid::now_v7(),
            self.source,
            self.kind,
            self.raw,
            &digest[..],
            self.seen_at
        )
        .fetch_one(&system.pool)
        .await
        .expect("the database takes it")
    }
}

fn operation(id: &str, amount: &Value) -> Value {
    json!({
        "operation_id": id, "project": "monetix", "payment_status": "success", "complete_currency": "INR",
        "operation_created_at": SystemClock.now().to_rfc3339(), "complete_amount": amount,
    })
}

const PAYIN: &str = r#"{"txnId":"P1","orderId":"O1","amount":"100.50","txnStatus":"Success","clientName":"91G_TECH_PVT_LTD",
    "totalCommissionAmount":2.5,"createdAt":"2026-01-15T15:46:46.698Z","modifiedAt":"2026-01-15T15:47:20.139Z"}"#;
const PAYOUT: &str = r#"{"transactionId":"P2","amount":20,"status":"Pending","createdAt":"2026-01-15T16:46:46.698Z"}"#;

async fn asked(web: &Web, method: Method, path: &str, key: &str) -> ApiResponse {
    web.request(method, path, Some(key), None).await.expect("the web process responds")
}

async fn until_succeeded(web: &Web, job_id: &Value) -> Value {
    let path = format!("/api/v1/jobs/{}", job_id.as_str().expect("an id"));
    eventually("the replay to succeed", || async {
        Some(web.get(&path).await).filter(|job| job["state"] == "succeeded")
    })
    .await
}

fn quarantine(system: &TestSystem, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["quarantine"].iter().chain(arguments).copied().collect();
    run(Program::Jobs, &arguments, system.jobs_settings())
}

#[tokio::test]
async fn malformed_record_is_listed_until_a_valid_version_arrives() {
    let system = TestSystem::start(&[]).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let broken = operation("900", &json!("a hundred"));
    system.sandbox.send(Method::POST, "vima/operations", Some(broken.clone())).await;
    system.sync_both().await;

    let page = web.get(LIST).await;
    let (entry, total) = (&page["items"][0], &page["total"]);
    assert_eq!(*total, 1, "{page}");
    let actual = ["source", "kind", "source_id", "reason", "raw", "raw_replaced"].map(|field| entry[field].clone());
    let reason = "complete_amount should be an exact amount but is a text of 9 characters";
    assert_eq!(
        actual,
        [json!("vima"), json!("payin"), json!("900"), json!(reason), json!(broken.to_string()), Value::Null]
    );
    let runs = web.get("/api/v1/sync/runs?source=vima").await;
    let known = runs["items"].as_array().expect("items").iter().any(|run| run["id"] == entry["run_id"]);
    assert!(known, "{page} {runs}");
    assert!(entry["first_seen_at"].is_string() && entry["last_seen_at"].is_string(), "{page}");
    for key in [VIEWER, OPERATOR] {
        let masked = asked(&web, Method::GET, LIST, key).await.json()["items"][0].clone();
        assert_eq!((&masked["raw"], &masked["source_id"]), (&Value::Null, &json!("900")), "{masked}");
    }
    for (filter, expected) in [("source=vima&kind=payin", 1), ("source=payshack", 0), ("kind=payout", 0)] {
        assert_eq!(web.get(&format!("{LIST}?{filter}")).await["total"], expected, "{filter}");
    }
    assert_eq!(web.get("/api/v1/sync/status").await["sources"][0]["quarantined"], 1);

    system.sync_both().await;
    let again = web.get(LIST).await;
    let seen = |entry: &Value| entry["times_seen"].as_u64().expect("a count");
    assert_eq!((&again["total"], &again["items"][0]["id"]), (&json!(1), &entry["id"]), "the same content is one entry");
    assert!(seen(&again["items"][0]) > seen(entry), "{again}");

    let corrected = operation("900", &json!("100"));
    system.sandbox.send(Method::PUT, "vima/operations/900", Some(corrected)).await;
    system.sync_both().await;
    assert_eq!(web.get(LIST).await["total"], 0, "it has left by itself");
    assert_matches_sandbox(&system).await;
}

#[tokio::test]
async fn records_with_nuls_do_not_block_their_page() {
    let system = TestSystem::start(&["--fault", "payshack.malformed=0.3", "--fault", "payshack.nul=0.3"]).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    system.sandbox.send(Method::POST, "payshack/payins", Some(json!({"txnId": "A\0B", "amount": "\0"}))).await;
    system.sandbox.send(Method::POST, "payshack/payins", Some(json!("\0"))).await;
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
    let page = web.get(&format!("{LIST}?source=payshack&kind=payin&limit=100")).await;
    let items = page["items"].as_array().expect("items");
    assert!(items.iter().any(|item| item["source_id"] == "A\u{fffd}B"), "{page}");
    assert!(items.iter().any(|item| item["raw"] == r#""\u0000""#), "an escaped NUL is the provider's own letter");
}

#[tokio::test]
async fn cursor_neither_skips_nor_repeats_while_entries_recur() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let mut kept = vec![];
    for number in 0..7 {
        kept.push(json!(Old::new("vima", "payin", &[number]).keep(&system).await));
    }
    let (mut walked, mut path) = (vec![], format!("{LIST}?limit=2"));
    loop {
        let page = web.get(&path).await;
        walked.extend(page["items"].as_array().expect("items").iter().map(|item| item["id"].clone()));
        sqlx::query!(
            "UPDATE quarantine SET last_seen_at = now(), times_seen = times_seen + 1 WHERE raw IN ('\\x00', '\\x06')"
        )
        .execute(&system.pool)
        .await
        .expect("the database takes it");
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{LIST}?limit=2&cursor={cursor}");
    }
    kept.reverse();
    assert_eq!(walked, kept);
}

#[tokio::test]
async fn raw_text_that_json_cannot_contain_is_replaced_and_reported() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    Old::new("vima", "payin", b"{\"name\":\"\xff\0\"}").keep(&system).await;
    let entry = web.get(LIST).await["items"][0].clone();
    assert_eq!(entry["raw"], "{\"name\":\"\u{fffd}\u{fffd}\"}");
    let said = "U+FFFD replaces 1 NULs and 1 sequences of bytes that are not UTF-8";
    assert_eq!(entry["raw_replaced"], said);
}

#[tokio::test]
async fn invalid_queries_are_rejected() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let id = Old::new("payshack", "payin", PAYIN.as_bytes()).keep(&system).await;
    let missing_id = Uuid::nil();
    for (method, path, key, status, message) in [
        (Method::GET, "?source=visa".to_owned(), VIEWER, 422, "vima, payshack"),
        (Method::GET, "?kind=refund".to_owned(), VIEWER, 422, "payin, payout"),
        (Method::GET, "?cursor=forged".to_owned(), VIEWER, 422, "cursor"),
        (Method::POST, format!("/{id}/replay"), VIEWER, 403, "operator"),
        (Method::POST, format!("/{missing_id}/replay"), OPERATOR, 404, "there is no such record in quarantine"),
        (Method::POST, "/17/replay".to_owned(), OPERATOR, 422, "must be a UUID"),
    ] {
        let response = asked(&web, method, &format!("{LIST}{path}"), key).await;
        assert_eq!(response.status, status, "{path}: {response:?}");
        assert!(
            response.json()["detail"].as_str().is_some_and(|detail| detail.contains(message)),
            "{path}: {response:?}"
        );
    }
    assert_eq!(system.number("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test]
async fn replay_stores_readable_records_once() {
    let system = TestSystem::start(&[]).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let id = Old::new("payshack", "payin", PAYIN.as_bytes()).keep(&system).await;
    let path = format!("{LIST}/{id}/replay");
    let headers = [("idempotency-key", "once"), ("x-api-key", OPERATOR)];
    let started = web.post_with(&path, &headers, "").await;
    assert_eq!(started.status, 202, "{started:?}");
    let job_id = started.json()["job_id"].clone();
    assert_eq!(started.headers["location"], format!("/api/v1/jobs/{}", job_id.as_str().expect("an id")));
    let job = until_succeeded(&web, &job_id).await;
    assert_eq!(job["result"], json!({"replayed": 1, "stored": 1, "still_malformed": 0}), "{job}");
    assert_eq!((&job["requested_by"], &job["progress"]["total"]), (&json!("otto"), &json!(1)), "{job}");
    assert_eq!(web.post_with(&path, &headers, "").await.text, started.text, "although the record has left");
    assert_eq!(asked(&web, Method::POST, &path, OPERATOR).await.status, 404);

    assert_eq!(web.get(LIST).await["total"], 0);
    let payment = web.get("/api/v1/transactions").await["items"][0].clone();
    let actual = ["source_id", "amount", "project", "fee"].map(|field| payment[field].clone());
    assert_eq!(actual, [json!("P1"), json!("100.50"), json!("91game"), json!("2.50")], "{payment}");
    assert_rollups_match_transactions(&system).await;
    let events = "SELECT count(*) FROM events WHERE body->>'type' IN ('new_transactions', 'metrics_updated')";
    assert_eq!(system.number(events).await, 2);
    assert_eq!(system.number("SELECT count(*) FROM sync_runs").await, 0, "no provider request was sent");
}

#[tokio::test]
async fn replay_compares_versions_like_a_page() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    let later = PAYIN.replace("15:47:20.139Z", "15:48:00.000Z").replace("Success", "Refunded");
    let earlier = PAYIN.replace("15:47:20.139Z", "15:46:50.000Z").replace("Success", "Pending");
    for (raw, expected, changes) in [(PAYIN, "success", 0), (&later, "refunded", 1), (&earlier, "refunded", 1)] {
        Old::new("payshack", "payin", raw.as_bytes()).keep(&system).await;
        system.run_job("replay-quarantine", None);
        let status = sqlx::query_scalar!("SELECT status FROM transactions").fetch_one(&system.pool).await;
        assert_eq!(status.expect("one payment"), expected);
        assert_eq!(system.number("SELECT count(*) FROM transaction_changes WHERE run_id IS NULL").await, changes);
        assert_eq!(
            system.number("SELECT count(*) FROM quarantine").await,
            0,
            "what is older than what is stored goes too"
        );
        assert_rollups_match_transactions(&system).await;
    }
}

#[tokio::test]
async fn replay_with_a_lost_claim_changes_nothing() {
    let system = TestSystem::start(&[]).await;
    let redis = system.servers.redis().await;
    Old::new("payshack", "payin", PAYIN.as_bytes()).keep(&system).await;
    let lost = Claim { job_id: JobId(Uuid::nil()), epoch: 1 };
    let replayed = replay_quarantine(
        &system.pool,
        &redis,
        &SystemClock,
        &RateCache::default(),
        ReplayRules { projects: &Projects::default(), vima: RulesGeneration(1), payshack: RulesGeneration(1) },
        &lost,
        Replay::All,
    )
    .await;
    assert!(matches!(replayed, Err(DbError::ClaimLost)), "{replayed:?}");
    let left = "SELECT (SELECT count(*) FROM quarantine) - (SELECT count(*) FROM transactions)
                     - (SELECT count(*) FROM metric_cells) - (SELECT count(*) FROM events)";
    assert_eq!(system.number(left).await, 1);
}

#[tokio::test]
async fn replay_of_a_killed_worker_continues_in_another() {
    let system = TestSystem::start(&[]).await;
    sqlx::query!(
        r#"INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
           SELECT gen_random_uuid(), 'payshack', 'payin', 'as an older release had it', raw, sha256(raw),
                  gen_random_uuid(), now(), now()
             FROM generate_series(1, 5000) AS number,
                  convert_to(format('{"txnId":"K%s","amount":1,"createdAt":"2026-01-15T15:46:46Z"}', number), 'UTF8') AS raw"#
    )
    .execute(&system.pool)
    .await
    .expect("the database takes it");
    let (redis, mut first) = (system.servers.redis().await, system.start_jobs(&["worker"]));
    let job = NewJob::replay(Replay::All, Trigger::Api);
    enqueue_job(&system.pool, &redis, &job).await.expect("the job can be enqueued");
    eventually("some records to be stored", || async {
        (system.number("SELECT count(*) FROM transactions").await > 0).then_some(())
    })
    .await;
    first.kill();
    assert_eq!(system.number("SELECT count(*) FROM jobs WHERE state = 'running'").await, 1, "it was at work");
    let _second = system.start_jobs(&["worker"]);
    system.wait_until_idle().await;
    assert_eq!(system.number("SELECT count(*) FROM quarantine").await, 0);
    assert_eq!(system.number("SELECT count(*) FROM transactions").await, 5000);
    assert_rollups_match_transactions(&system).await;
}

#[tokio::test]
async fn quarantine_command_lists_and_replays() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    let readable = operation("7", &json!(5)).to_string();
    let old = |source, kind, raw| Old::new(source, kind, raw);
    old("vima", "payin", readable.as_bytes()).keep(&system).await;
    let broken = old("vima", "payin", br#"{"operation_id":"8","contact":"payer@example.com"}"#).keep(&system).await;
    let payin = old("payshack", "payin", PAYIN.as_bytes()).keep(&system).await.to_string();
    old("payshack", "payout", PAYOUT.as_bytes()).keep(&system).await;

    let listed = quarantine(&system, &["list", "--limit", "3"]);
    assert!(listed.status.success() && listed.stdout.contains("3 of 4 shown"), "{listed:?}");
    assert!(listed.stdout.contains(&payin) && listed.stdout.contains("as an older release had it"), "{listed:?}");
    assert!(!listed.stdout.contains("payer@example.com"), "personal data is not printed unasked: {listed:?}");

    let replayed = quarantine(&system, &["replay", "--source", "vima", "--wait"]);
    assert!(replayed.status.success(), "{replayed:?}");
    let result = replayed.stdout.lines().last().expect("a result");
    let expected = json!({"replayed": 2, "stored": 1, "still_malformed": 1});
    assert_eq!(serde_json::from_str::<Value>(result).expect(result), expected);
    let left = quarantine(&system, &["list", "--source", "vima", "--raw"]);
    for part in [&*broken.to_string(), "vima payin 8", "is missing", "payer@example.com", "1 of 1 shown"] {
        assert!(left.stdout.contains(part), "{part}: {left:?}");
    }

    let args = json!({"id": payin}).to_string();
    let one = system.try_run_job("replay-quarantine", Some(&args));
    assert!(one.status.success() && one.stdout.contains(r#""stored":1"#), "{one:?}");
    assert!(quarantine(&system, &["replay", "--wait"]).stdout.contains(r#""replayed":2"#), "all that is left");
    assert_eq!(system.number("SELECT count(*) FROM quarantine").await, 1);
    assert_eq!(system.number("SELECT count(*) FROM transactions").await, 3);
    assert_rollups_match_transactions(&system).await;

    let gone = quarantine(&system, &["replay", &payin]);
    assert!(!gone.status.success() && gone.stderr.contains("there is no record"), "{gone:?}");
    let bad = system.try_run_job("replay-quarantine", Some(r#"{"ids":[]}"#));
    assert!(!bad.status.success() && bad.stderr.contains("expected `id` or `source`"), "{bad:?}");
}

#[tokio::test]
async fn replay_with_invalid_arguments_fails_at_once() {
    let system = TestSystem::start(&[]).await;
    let (web, redis, _worker) =
        (system.start_web().await, system.servers.redis().await, system.start_jobs(&["worker"]));
    let job = NewJob::with_args(&REPLAY_QUARANTINE, json!({"sorce": "vima"}), Trigger::Api);
    let job_id = enqueue_job(&system.pool, &redis, &job).await.expect("the job can be enqueued").job_id;
    let path = format!("/api/v1/jobs/{job_id}");
    let failed = eventually("the replay to fail", || async {
        Some(web.get(&path).await).filter(|job| job["state"] == "failed")
    })
    .await;
    assert_eq!(failed["attempt"], 1, "{failed}");
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("unknown field `sorce`")), "{failed}");
}

#[tokio::test]
async fn entries_not_seen_for_a_quarter_are_deleted_and_logged() {
    let system = TestSystem::start(&[]).await;
    let worker = system.start_jobs(&["worker"]);
    let days_ago = |days| SystemClock.now() - chrono::Duration::days(days);
    let gone = Old { seen_at: days_ago(91), ..Old::new("vima", "payin", b"1") }.keep(&system).await;
    let kept = Old { seen_at: days_ago(89), ..Old::new("vima", "payin", b"2") }.keep(&system).await;
    let housekeeping = system.try_run_job("housekeeping", None);
    assert!(housekeeping.stdout.contains(r#""quarantine":1"#), "{housekeeping:?}");
    let left = sqlx::query_scalar!("SELECT id FROM quarantine").fetch_all(&system.pool).await;
    assert_eq!(left.expect("the database responds"), [kept]);
    eventually("the worker to say what went", || async { worker.output().contains(&gone.to_string()).then_some(()) })
        .await;
}
