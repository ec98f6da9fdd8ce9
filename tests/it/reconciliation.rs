//! Reconciliation of synced days by workers, which are killed in the middle and run repeatedly.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveDate, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::{Claim, JobId};
use psp_dashboard::domain::reconciliation::Parameters;
use psp_dashboard::operations::reconcile_day::{ReconcileError, reconcile_day};
use serde_json::{Value, json};
use sqlx::Executor;
use uuid::Uuid;

use crate::harness::test_system::TestSystem;
use crate::harness::{eventually, is_long};

fn days_ago(days: u64) -> NaiveDate {
    SystemClock.now().date_naive() - Days::new(days)
}

fn args(date: NaiveDate) -> String {
    json!({"date": date}).to_string()
}

/// Reconciles a day by a worker, and returns the output of the command.
fn reconcile(system: &TestSystem, date: NaiveDate) -> Value {
    let ended = system.try_run_job("reconcile", Some(&args(date)));
    assert!(ended.status.success(), "{ended:?}");
    serde_json::from_str(ended.stdout.lines().last().expect("a result")).expect("JSON")
}

/// A system with synced payments, and its worker.
async fn synced(sandbox: &[&str]) -> (TestSystem, crate::harness::programs::RunningProgram) {
    let system = TestSystem::start(sandbox).await;
    let worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    (system, worker)
}

/// Every verdict of the labelled days is correct, without false positives or negatives.
#[tokio::test]
async fn labelled_days_have_no_wrong_verdict() {
    // 70 % are on both sides: more than 50,000 pairs in long runs.
    let per_day = if is_long() { "25000" } else { "1000" };
    let (system, _worker) = synced(&["--per-day", per_day, "--discrepancies", "0.1"]).await;
    let mut keys = 0;
    for days in 0..=4 {
        let counts = reconcile(&system, days_ago(days))["counts"].clone();
        let of = |field: &str| counts[field].as_u64().expect("a count");
        keys += of("matched") + of("amount_discrepancies") + of("status_discrepancies");
    }
    let truth = system.sandbox.get("truth/discrepancies").await;
    let truth: BTreeSet<(String, String)> = truth
        .as_array()
        .expect("findings")
        .iter()
        .map(|found| (text(&found["type"]), text(&found["key"])))
        .filter(|(kind, _)| kind != "split_by_midnight")
        .collect();
    let found = sqlx::query!(
        r#"SELECT CASE match_status WHEN 'discrepancy' THEN kind
                       WHEN 'duplicate' THEN CASE WHEN vima_txn_id IS NULL THEN 'duplicate_payshack' ELSE 'duplicate_vima' END
                       ELSE match_status END AS "kind!", key
             FROM discrepancies CROSS JOIN UNNEST(types) AS kind"#
    );
    let found = found.fetch_all(&system.pool).await.expect("the cases").into_iter();
    let found: BTreeSet<(String, String)> = found.map(|row| (row.kind, row.key)).collect();
    assert_eq!(found, truth);
    assert!(truth.len() > 100 && keys > 1_000, "the days are too quiet to say anything");
    assert_eq!(system.number("SELECT sum(pending)::bigint FROM reconciliation_runs").await, 0);
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// The discrepancies, including the row versions.
async fn cases(system: &TestSystem) -> Vec<String> {
    let rows =
        sqlx::query_scalar!(r#"SELECT xmin::text || discrepancies::text AS "case!" FROM discrepancies ORDER BY id"#);
    rows.fetch_all(&system.pool).await.expect("the cases")
}

#[tokio::test]
async fn repeated_run_has_the_same_result_and_changes_no_discrepancy() {
    let (system, _worker) = synced(&["--per-day", "400", "--discrepancies", "0.2"]).await;
    let day = days_ago(1);
    let first = reconcile(&system, day);
    let before = cases(&system).await;
    assert!(before.len() > 10, "a day without cases says nothing");
    for version in 2..=20 {
        let again = reconcile(&system, day);
        assert_eq!(again["version"], version);
        assert_eq!((&again["counts"], &again["amounts"]), (&first["counts"], &first["amounts"]));
        assert_eq!(again["cases"], json!({"opened": 0, "reopened": 0, "auto_resolved": 0}));
    }
    assert_eq!(cases(&system).await, before);
    let verdicts = system
        .number(
            "SELECT count(DISTINCT said) FROM (
                 SELECT string_agg(concat(key, occurrence, match_status, types, vima_txn_id, payshack_txn_id, amount_diff), ';'
                                   ORDER BY key, vima_txn_id, payshack_txn_id) AS said
                   FROM reconciliation_results GROUP BY run_id) AS runs",
        )
        .await;
    assert_eq!(verdicts, 1, "20 runs, one verdict");
}

/// A pair across midnight, or most of a day apart, is still a pair.
#[tokio::test]
async fn pairs_up_to_23_hours_apart_are_matched() {
    let (system, _worker) = synced(&["--per-day", "0"]).await;
    let day = days_ago(2);
    sqlx::query!(
        r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, order_id, project, status,
                                     amount, currency, created_at, ingested_at, raw_data)
           SELECT gen_random_uuid(), source, 'payin', number::text, '\x00', CASE source WHEN 'vima' THEN 'key ' || number END,
                  CASE source WHEN 'payshack' THEN 'key ' || number END, '91game', 'success', 100, 'INR',
                  $1::date::timestamp AT TIME ZONE 'UTC' + number * interval '8.64 seconds'
                      + CASE source WHEN 'payshack' THEN (number * 7919 % 2760 - 1380) * interval '1 minute' ELSE '0' END,
                  now(), '{}'
             FROM generate_series(0, 9999) AS number CROSS JOIN UNNEST(ARRAY['vima', 'payshack']) AS source"#,
        day
    )
    .execute(&system.pool)
    .await
    .expect("pairs");
    for (date, matched) in [(day.pred_opt(), 0), (Some(day), 10_000), (day.succ_opt(), 0)] {
        let counts = reconcile(&system, date.expect("a day"))["counts"].clone();
        assert_eq!(counts["matched"], matched);
        assert_eq!(
            (&counts["missing_vima"], &counts["missing_payshack"], &counts["pending"]),
            (&json!(0), &json!(0), &json!(0))
        );
    }
}

/// A matched pay-in of the day before yesterday: its PayShack id and its key.
async fn agreed(system: &TestSystem, day: NaiveDate) -> (Uuid, String) {
    let row = sqlx::query!(
        r#"SELECT payshack.id, payshack.order_id AS "key!" FROM transactions AS payshack
             JOIN transactions AS vima ON vima.client_operation_id = payshack.order_id
            WHERE payshack.status = 'success' AND vima.status = 'success' AND vima.amount = payshack.paid_amount
              AND (vima.created_at AT TIME ZONE 'UTC')::date = $1 AND (payshack.created_at AT TIME ZONE 'UTC')::date = $1
            ORDER BY payshack.id LIMIT 1"#,
        day
    );
    let row = row.fetch_one(&system.pool).await.expect("a pair");
    (row.id, row.key)
}

/// The state, the note and the number of changes of a discrepancy.
async fn case(system: &TestSystem, key: &str) -> (String, Option<String>, i64) {
    let row = sqlx::query!(
        r#"SELECT state, note, (SELECT count(*) FROM discrepancy_changes WHERE discrepancy_id = discrepancies.id) AS "changes!"
             FROM discrepancies WHERE key = $1"#,
        key
    );
    let row = row.fetch_one(&system.pool).await.expect("a case");
    (row.state, row.note, row.changes)
}

/// The result of a `PATCH` by a person.
async fn decide(system: &TestSystem, key: &str, to: &str, note: Option<&str>) {
    sqlx::query!(
        r#"UPDATE discrepancies SET state = $2, note = $3,
                                    resolved_at = CASE WHEN $2 IN ('resolved', 'ignored') THEN now() END WHERE key = $1"#,
        key,
        to,
        note
    )
    .execute(&system.pool)
    .await
    .expect("the case");
}

#[tokio::test]
async fn discrepancy_persists_across_runs_with_its_notes() {
    let (system, _worker) = synced(&["--discrepancies", "0"]).await;
    let day = days_ago(2);
    let (payin, key) = agreed(&system, day).await;
    let forget = || async {
        sqlx::query!("DELETE FROM transactions WHERE id = $1 OR order_id = $2", payin, key)
            .execute(&system.pool)
            .await
            .expect("the row goes");
    };
    let read_again = || {
        system.run_job("sync-payshack", Some(&json!({"mode": "range", "from_date": day, "to_date": day}).to_string()));
    };

    forget().await;
    assert_eq!(reconcile(&system, day)["counts"]["missing_payshack"], 1);
    decide(&system, &key, "acknowledged", Some("asked the bank")).await;
    // It was late: the next run no longer finds the discrepancy, and the note is kept.
    read_again();
    assert_eq!(reconcile(&system, day)["cases"]["auto_resolved"], 1);
    let note = Some("asked the bank".to_owned());
    assert_eq!(case(&system, &key).await, ("auto_resolved".to_owned(), note.clone(), 2));
    assert_eq!(reconcile(&system, day)["cases"], json!({"opened": 0, "reopened": 0, "auto_resolved": 0}));

    // Found again, it is reopened.
    forget().await;
    assert_eq!(reconcile(&system, day)["cases"]["reopened"], 1);
    assert_eq!(case(&system, &key).await, ("open".to_owned(), note.clone(), 3));

    // A resolved discrepancy stays resolved while its facts are the same, and is reopened if they change.
    decide(&system, &key, "resolved", Some("paid in cash")).await;
    assert_eq!(reconcile(&system, day)["cases"]["reopened"], 0);
    assert_eq!(case(&system, &key).await.0, "resolved");
    let change = sqlx::query!("UPDATE transactions SET amount = amount + 1 WHERE client_operation_id = $1", key);
    change.execute(&system.pool).await.expect("the amount changes");
    assert_eq!(reconcile(&system, day)["cases"]["reopened"], 1);
    assert_eq!(case(&system, &key).await, ("open".to_owned(), Some("paid in cash".to_owned()), 4));

    // An ignored discrepancy stays ignored.
    decide(&system, &key, "ignored", Some("a test payment")).await;
    read_again();
    let counts = reconcile(&system, day)["counts"].clone();
    assert_eq!((&counts["amount_discrepancies"], &counts["missing_payshack"]), (&json!(1), &json!(0)));
    assert_eq!(case(&system, &key).await.0, "ignored");
    let facts = "SELECT count(*) FROM discrepancies WHERE match_status = 'discrepancy' AND types = '{amount}' AND amount_diff = 1";
    assert_eq!(system.number(facts).await, 1, "the case tells what the last run found");
}

/// While a provider is unavailable, its payments cannot be called missing.
#[tokio::test]
async fn provider_outage_opens_no_discrepancy() {
    let (system, _worker) = synced(&["--discrepancies", "0"]).await;
    let day = days_ago(1);
    let whole = reconcile(&system, day)["counts"]["matched"].as_u64().expect("a count");
    let gone = "DELETE FROM transactions WHERE source = 'payshack' AND kind = 'payin'";
    system.pool.execute(gone).await.expect("the rows go");
    let since = "UPDATE sync_streams SET watermark = watermark - interval '3 days' WHERE source = 'payshack'";
    system.pool.execute(since).await.expect("the streams");
    let counts = reconcile(&system, day)["counts"].clone();
    assert_eq!((&counts["pending"], &counts["missing_payshack"]), (&json!(whole), &json!(0)));
    assert_eq!(system.number("SELECT count(*) FROM discrepancies").await, 0);
    // Read again and still absent: now it is reported.
    let back = "UPDATE sync_streams SET watermark = watermark + interval '3 days' WHERE source = 'payshack'";
    system.pool.execute(back).await.expect("the streams");
    assert_eq!(reconcile(&system, day)["counts"]["missing_payshack"], whole);
    // Nothing is reported about unread days.
    let covered = "UPDATE sync_streams SET covered_from = now() WHERE source = 'payshack' AND stream = 'history'";
    system.pool.execute(covered).await.expect("the streams");
    let again = reconcile(&system, day);
    assert_eq!((&again["counts"]["pending"], &again["cases"]["auto_resolved"]), (&json!(whole), &json!(0)));
    let open = system.number("SELECT count(*) FROM discrepancies WHERE state = 'open'").await;
    assert_eq!(open.unsigned_abs(), whole, "a case waits while nobody can say");
}

#[tokio::test]
async fn killed_run_leaves_nothing_and_is_repeated() {
    let (system, mut worker) = synced(&["--discrepancies", "0.2"]).await;
    let day = days_ago(1);
    // Results cannot be written, so the run waits in the middle.
    let mut gate = system.pool.begin().await.expect("a transaction");
    gate.execute("LOCK TABLE reconciliation_results IN SHARE MODE").await.expect("a lock");
    let job = system.enqueue("reconcile", Some(&args(day)));
    eventually("the run to write results", || async {
        let waiting = "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
                        WHERE relname = 'reconciliation_results' AND NOT granted";
        (system.number(waiting).await > 0).then_some(())
    })
    .await;
    worker.kill();
    let _other = system.start_jobs(&["worker"]);
    eventually("the job to be taken over", || async {
        (system.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await > 0).then_some(())
    })
    .await;
    gate.rollback().await.expect("the end of the lock");
    eventually("the other worker to reconcile the day", || async {
        (system.job_state(job).await == "succeeded").then_some(())
    })
    .await;
    assert_eq!(system.number("SELECT count(*) FROM reconciliation_runs WHERE version = 1").await, 1);
    assert_eq!(system.number("SELECT count(*) FROM reconciliation_runs").await, 1);
    let doubled =
        "SELECT count(*) - count(DISTINCT (key, occurrence, vima_txn_id, payshack_txn_id)) FROM reconciliation_results";
    assert_eq!(system.number(doubled).await, 0);
    let orphans = "SELECT count(*) FROM discrepancies AS one WHERE NOT EXISTS (
                       SELECT FROM reconciliation_results AS result WHERE result.key = one.key)";
    assert_eq!(system.number(orphans).await, 0);
}

/// A worker that was presumed dead and resumes commits nothing.
#[tokio::test]
async fn run_with_a_lost_claim_writes_nothing() {
    let (system, mut worker) = synced(&["--discrepancies", "0.2"]).await;
    worker.kill();
    let job_id = system.enqueue("reconcile", Some(&args(days_ago(1))));
    let running = sqlx::query!("UPDATE jobs SET state = 'running', epoch = 2 WHERE id = $1", job_id);
    running.execute(&system.pool).await.expect("the jobs table");
    let redis = system.servers.redis().await;
    for (epoch, lost) in [(1, true), (2, false)] {
        let claim = Claim { job_id: JobId(job_id), epoch };
        let rules = Parameters::default();
        let zone = chrono_tz::UTC;
        let done = reconcile_day(&system.pool, &redis, &SystemClock, &claim, days_ago(1), zone, &rules).await;
        assert_eq!(matches!(done, Err(ReconcileError::Database(DbError::ClaimLost))), lost, "{done:?}");
        let written = system.number("SELECT count(*) FROM reconciliation_results").await > 0;
        assert_eq!(written, !lost);
    }
}

/// The events of a run, in order.
#[tokio::test]
async fn run_publishes_its_start_and_its_end() {
    let (system, _worker) = synced(&["--discrepancies", "0.2"]).await;
    let run = reconcile(&system, days_ago(1));
    let events =
        sqlx::query_scalar!("SELECT body FROM events WHERE body ->> 'type' LIKE 'reconciliation%' ORDER BY id");
    let events = events.fetch_all(&system.pool).await.expect("events");
    let names: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(names, ["reconciliation_started", "reconciliation_progress", "reconciliation_completed"]);
    for event in &events {
        assert_eq!((&event["date"], &event["run_id"]), (&run["date"], &run["run_id"]));
    }
    assert_eq!(events[2]["counts"], run["counts"]);
    let judged: DateTime<Utc> = sqlx::query_scalar!(r#"SELECT as_of AS "as_of!" FROM reconciliation_runs"#)
        .fetch_one(&system.pool)
        .await
        .expect("the run");
    assert!(judged <= SystemClock.now());
}
