//! Every kind of job is attempted again after its last commit, as if its worker had died before it recorded the success: the
//! second attempt changes nothing.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::job::{
    DELIVER_NOTIFICATION, DELIVER_REPORT, DELIVER_WEBHOOK, EVALUATE_ALERTS, EXPORT, HOUSEKEEPING, JobKind, KINDS,
    NewJob, REBUILD_ROLLUPS, RECONCILE, REFRESH_FX_RATES, REPLAY_QUARANTINE, RUN_BULK_ACTION, RUN_REPORT_SCHEDULES,
    SYNC_PAYSHACK, SYNC_PAYSHACK_METADATA, SYNC_VIMA, Trigger,
};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgPool};
use uuid::Uuid;

use crate::harness::eventually;
use crate::harness::exports::{create_export, wait_for_export};
use crate::harness::test_system::{ADMIN, TestSystem, Web};
use crate::harness::{TIMEOUT, servers};

/// Tables that are about jobs and processes, not about what jobs do. Of jobs, the number is compared.
const BOOKKEEPING: &str =
    "'jobs', 'job_attempts', 'job_leases', 'processes', 'queue_minutes', 'schedules', 'api_keys', '_sqlx_migrations'";

/// A job to attempt again.
struct Case {
    kind: &'static JobKind,
    args: Value,
    /// What the job finds, so that it has something to do.
    prepare: &'static str,
    /// The tables that another attempt may change, because it reads the provider again: they say when, and by which run.
    reads_again: &'static [&'static str],
    /// Whether another attempt returns the same result.
    same_result: bool,
}

impl Case {
    fn new(kind: &'static JobKind, args: Value) -> Self {
        Self { kind, args, prepare: "SELECT", reads_again: &[], same_result: true }
    }

    fn prepare(self, prepare: &'static str) -> Self {
        Self { prepare, same_result: false, ..self }
    }

    fn reads_again(self, reads_again: &'static [&'static str]) -> Self {
        Self { reads_again, same_result: false, ..self }
    }
}

fn cases(day: NaiveDate) -> Vec<Case> {
    let syncs: &[&str] = &["sync_runs", "sync_streams", "sync_cursor_marks", "events"];
    let one_day = json!({"mode": "range", "from_date": day, "to_date": day});
    vec![
        Case::new(&SYNC_VIMA, json!({"mode": "incremental"})).reads_again(syncs),
        Case::new(&SYNC_VIMA, one_day.clone()).reads_again(syncs),
        Case::new(&SYNC_PAYSHACK, json!({"mode": "incremental"})).reads_again(syncs),
        Case::new(&SYNC_PAYSHACK, one_day).reads_again(syncs),
        Case::new(&SYNC_PAYSHACK_METADATA, json!({})).reads_again(&["payshack_lists"]),
        // One record can be parsed now, and is a new payment; another one cannot.
        Case::new(&REPLAY_QUARANTINE, json!({})).prepare(
            "INSERT INTO quarantine (id, source, kind, source_id, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
             SELECT gen_random_uuid(), 'vima', 'payin', NULL, 'as before', convert_to(raw, 'UTF8'), sha256(convert_to(raw, 'UTF8')),
                    gen_random_uuid(), now(), now()
               FROM (SELECT replace(raw_data::text, source_id, '987654321') AS raw FROM transactions
                      WHERE source = 'vima' ORDER BY source_id LIMIT 1) AS readable
              UNION ALL
             SELECT gen_random_uuid(), 'vima', 'payin', NULL, 'as before', 'nonsense', 'nonsense', gen_random_uuid(), now(), now()",
        ),
        Case::new(&RECONCILE, json!({"date": day})),
        Case::new(&RECONCILE, json!({"nightly": day})),
        // Its secret cannot be read, and it was the last attempt.
        Case::new(&DELIVER_WEBHOOK, json!({"webhook_id": Uuid::from_u128(7)})).prepare(
            "INSERT INTO webhooks (id, url, description, events, enabled, secret, last_event_id, created_at, created_by, updated_at)
             VALUES ('00000000-0000-0000-0000-000000000007', 'http://127.0.0.1:9/', '', '{*}', true, '', 9223372036854775807, now(),
                     'ada', now());
             INSERT INTO webhook_deliveries (id, webhook_id, type, payload, ordered, state, attempts, created_at)
             VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000007', 'test', '{}', true, 'pending', 9, now())",
        ),
        // The alert is open when it is evaluated again.
        Case::new(&EVALUATE_ALERTS, json!({})).prepare(
            "INSERT INTO alert_rules (id, name, description, severity, kind, parameters, projects, for_minutes, clear_minutes,
                                      max_lag_minutes, enabled, created_at, created_by, updated_at)
             VALUES ('00000000-0000-0000-0000-000000000008', 'risk', '', 'info', 'value_at_risk',
                     '{\"threshold\": \"0\", \"currency\": \"INR\"}', '{}', 0, 0, 1, true, now(), 'ada', now())",
        ),
        // It was delivered already.
        Case::new(&DELIVER_NOTIFICATION, json!({"notification_id": Uuid::from_u128(9)})).prepare(
            "INSERT INTO alerts (id, rule_name, kind, severity, subject, reason, message, judged_at, fired_at)
             VALUES ('00000000-0000-0000-0000-000000000009', 'risk', 'quarantine', 'info', '', 'condition', '', now(), now());
             INSERT INTO alert_notifications (id, alert_id, channel, state, title, body, created_at, delivered_at)
             VALUES ('00000000-0000-0000-0000-000000000009', '00000000-0000-0000-0000-000000000009', 'email', 'fired', '', '',
                     now(), now())",
        ),
        // One schedule is stopped, because its owner's key has ended; the time of the other one has a run already.
        Case::new(&RUN_REPORT_SCHEDULES, json!({})).prepare(
            "INSERT INTO api_keys (id, name, role, prefix, key_hash, created_at, revoked_at)
             VALUES ('00000000-0000-0000-0000-00000000000a', 'ended', 'operator', 'a', 'a', now(), now());
             INSERT INTO report_schedules (id, name, kind, language, cron, timezone, destination, folder, enabled, next_run_at,
                                           owner_key, owner, role, created_at, updated_at)
             SELECT id, 'digest', 'digest', 'en', '0 0 1 1 *', 'UTC', 'object_store', 'a', true, date_trunc('year', now(), 'UTC'),
                    owner_key, 'ada', 'operator', now(), now()
               FROM (VALUES ('00000000-0000-0000-0000-00000000000b'::uuid, '00000000-0000-0000-0000-00000000000a'::uuid),
                            ('00000000-0000-0000-0000-00000000000c', gen_random_uuid())) AS schedule (id, owner_key);
             INSERT INTO report_runs (id, schedule_id, due_at, state, job_id, created_at, finished_at)
             SELECT id, id, next_run_at, 'delivered', id, now(), now() FROM report_schedules",
        ),
        // It was delivered already.
        Case::new(&DELIVER_REPORT, json!({"run_id": Uuid::from_u128(12)})),
        // One job is cancelled, another one has ended since.
        Case::new(&RUN_BULK_ACTION, json!({"bulk_action_id": Uuid::from_u128(13)})).prepare(
            "INSERT INTO bulk_actions (id, kind, filter, token_hash, requested_by_key, requested_by, role, item_count, created_at,
                                       expires_at, confirmed_at, job_id)
             VALUES ('00000000-0000-0000-0000-00000000000d', 'cancel_jobs', '{}', 'a', gen_random_uuid(), 'ada', 'operator', 2, now(),
                     now(), now(), gen_random_uuid());
             WITH previewed AS (
                 INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at)
                 SELECT gen_random_uuid(), 'housekeeping', '{}', 'maintenance', 10, state, 'api', now() + interval '1 day', 1, now(),
                        finished_at
                   FROM (VALUES ('scheduled', NULL), ('succeeded', now())) AS job (state, finished_at)
                 RETURNING id)
             INSERT INTO bulk_action_batches (action_id, batch, item_ids, versions)
             SELECT '00000000-0000-0000-0000-00000000000d', 0, array_agg(id), ARRAY['scheduled.0', 'scheduled.0'] FROM previewed",
        ),
        Case::new(&REFRESH_FX_RATES, json!({})).reads_again(&[]),
        Case::new(&REBUILD_ROLLUPS, json!({})).prepare(
            "UPDATE metric_cells SET count = count + 1
              WHERE ctid = (SELECT ctid FROM metric_cells WHERE width = 'day' LIMIT 1)",
        ),
        Case::new(&HOUSEKEEPING, json!({}))
            .prepare("INSERT INTO events (created_at, body) VALUES (now() - interval '2 days', '{}')"),
    ]
}

#[tokio::test]
async fn attempt_after_the_last_commit_changes_nothing() {
    let system = TestSystem::start(&[]).await;
    let fx_url = system.sandbox.fx_url();
    let web = system.start_web().await;
    let _worker = system.start_jobs_with(&["worker"], &[("FX_RATES_URL", &fx_url)]);
    system.sync_both().await;
    let day = SystemClock.now().date_naive() - Days::new(2);
    let cases = cases(day);
    for kind in KINDS {
        let is_tested = *kind == EXPORT || cases.iter().any(|case| case.kind == kind);
        assert!(is_tested, "add a case for {} that attempts it again", kind.name);
    }
    for case in &cases {
        system.pool.execute(case.prepare).await.expect("the database accepts it");
        let job_id = run(&system, case).await;
        assert_second_attempt_changes_nothing(&system, job_id, case).await;
    }
    let findings = "SELECT count(*) FROM reconciliation_results";
    assert!(system.number(findings).await > 0, "the day has findings, which could have been inserted again");
    assert_export_is_written_once(&system, &web).await;
}

async fn run(system: &TestSystem, case: &Case) -> Uuid {
    let job = NewJob::with_args(case.kind, case.args.clone(), Trigger::Api);
    let redis = system.servers.redis().await;
    let job_id = enqueue_job(&system.pool, &redis, &job).await.expect("the job is enqueued").job_id;
    system.wait_until_idle().await;
    job_id.0
}

/// The file is written by an attempt, so another one would also leave the first file behind.
async fn assert_export_is_written_once(system: &TestSystem, web: &Web) {
    let export = wait_for_export(web, &create_export(web, ADMIN, "format=csv").await, TIMEOUT).await;
    let job_id = export["job_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let export = Case::new(&EXPORT, Value::Null);
    assert_second_attempt_changes_nothing(system, job_id, &export).await;
    // A file that its owner has deleted meanwhile stays deleted.
    system.pool.execute("UPDATE exports SET stored_as = NULL; DELETE FROM export_pieces").await.expect("a response");
    assert_second_attempt_changes_nothing(system, job_id, &export).await;
}

async fn assert_second_attempt_changes_nothing(system: &TestSystem, job_id: Uuid, case: &Case) {
    loop {
        let today = SystemClock.now().date_naive();
        let before = snapshot(&system.pool).await;
        let result = result(system, job_id).await;
        attempt_again(system, job_id).await;
        // Some figures are stored once a day.
        if SystemClock.now().date_naive() != today {
            continue;
        }
        let (kind, args) = (case.kind.name, &case.args);
        for (table, content) in snapshot(&system.pool).await {
            if !case.reads_again.contains(&table.as_str()) {
                assert_eq!(before.get(&table), Some(&content), "{kind} {args} changed {table} when it was repeated");
            }
        }
        if case.same_result {
            assert_eq!(self::result(system, job_id).await, result, "{kind} {args}");
        }
        return;
    }
}

/// Makes the job due, as a rescue after the death of its worker does, and waits until it has succeeded again.
async fn attempt_again(system: &TestSystem, job_id: Uuid) {
    let again = format!(
        "UPDATE jobs SET state = 'retrying', finished_at = NULL, result = NULL, due_at = now(), attempt = attempt - 1
          WHERE id = '{job_id}'"
    );
    system.pool.execute(AssertSqlSafe(again)).await.expect("the jobs table responds");
    eventually("the job to succeed again", || async { (system.job_state(job_id).await == "succeeded").then_some(()) })
        .await;
}

#[expect(clippy::disallowed_methods, reason = "a test query is not part of the program")]
async fn result(system: &TestSystem, job_id: Uuid) -> Value {
    let result = sqlx::query_scalar("SELECT result FROM jobs WHERE id = $1").bind(job_id);
    result.fetch_one(&system.pool).await.expect("the job exists")
}

/// The number of rows and a hash of the content of each table; of jobs, only their number.
#[expect(clippy::disallowed_methods, reason = "the tables are those that the database has")]
async fn snapshot(pool: &PgPool) -> BTreeMap<String, String> {
    let tables = format!(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ({BOOKKEEPING})"
    );
    let tables: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(tables)).fetch_all(pool).await.expect("the database responds");
    let mut contents = BTreeMap::new();
    for table in tables {
        let content = format!(
            "SELECT count(*) || ' rows, ' || COALESCE(md5(string_agg(hash, '' ORDER BY hash)), '')
               FROM (SELECT md5(content::text) AS hash FROM {table} AS content) AS hashes"
        );
        let content = sqlx::query_scalar(AssertSqlSafe(content)).fetch_one(pool).await.expect("the database responds");
        contents.insert(table, content);
    }
    let jobs = servers::number(pool, "SELECT count(*) FROM jobs").await;
    contents.insert("jobs".to_owned(), jobs.to_string());
    contents
}
