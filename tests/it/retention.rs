//! Retention: every table has a rule and is documented, and housekeeping deletes exactly what the rules say.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::retention::{ExpiringRows, RETENTION};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::harness::run_fixture::RunFixture;
use crate::harness::servers::Servers;
use crate::harness::test_system::{TestSystem, VIEWER};

/// More than are deleted in one transaction.
const MANY: i64 = 4_500;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the tables are those that the database has")]
async fn every_table_has_a_rule_and_is_documented() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    // The table of migrations belongs to the library that applies them.
    let tables =
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'";
    let tables: BTreeSet<String> =
        sqlx::query_scalar(tables).fetch_all(&pool).await.expect("the database responds").into_iter().collect();
    let ruled: BTreeSet<String> = RETENTION.iter().map(|rule| rule.table.to_owned()).collect();
    assert_eq!(ruled.len(), RETENTION.len(), "one rule per table");
    assert_eq!(tables, ruled, "each table needs a rule in src/domain/retention.rs");
    let docs = include_str!("../../docs/operations.md");
    for table in tables {
        assert!(docs.contains(&format!("\n| `{table}` |")), "docs/operations.md has no line for {table}");
    }
}

/// Inserts rows of which one has expired (of events, many), and others that stay.
#[expect(clippy::too_many_lines, reason = "a statement for each kind of rows")]
fn insert(rows: ExpiringRows) -> &'static str {
    match rows {
        ExpiringRows::Events => {
            "INSERT INTO events (created_at, body)
             SELECT now() - interval '25 hours', '{}' FROM generate_series(1, 4500);
             INSERT INTO events (created_at, body) VALUES (now() - interval '23 hours', '{}')"
        }
        ExpiringRows::Jobs => {
            "INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at)
             SELECT gen_random_uuid(), 'test', '{}', 'test', 10, state, 'api', now(), 1, now(), now() - age
               FROM (VALUES ('succeeded', interval '8 days'), ('cancelled', interval '6 days')) AS job (state, age)"
        }
        ExpiringRows::FailedJobs => {
            "INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at)
             SELECT gen_random_uuid(), 'test', '{}', 'test', 10, 'failed', 'api', now(), 1, now(), now() - age
               FROM (VALUES (interval '31 days'), (interval '29 days')) AS job (age)"
        }
        ExpiringRows::Ticks => {
            "INSERT INTO schedule_ticks (schedule, tick_at, job_id)
             SELECT schedule, now() - age, gen_random_uuid()
               FROM (VALUES ('a', interval '31 days'), ('a', interval '29 days'), ('last of b', interval '40 days'))
                        AS tick (schedule, age)"
        }
        ExpiringRows::Processes => {
            "INSERT INTO processes (name, role, started_at, last_seen_at)
             VALUES ('gone', 'scheduler', now(), now() - interval '25 hours'),
                    ('recent', 'scheduler', now(), now() - interval '23 hours')"
        }
        ExpiringRows::SyncRuns => {
            "INSERT INTO sync_runs (id, source, mode, trigger, job_id, started_at, finished_at, status)
             SELECT gen_random_uuid(), source, 'incremental', 'schedule', gen_random_uuid(), now() - age, now() - age, status
               FROM (VALUES ('vima', interval '100 days', 'succeeded'), ('vima', interval '95 days', 'succeeded'),
                            ('vima', interval '91 days', 'failed'), ('payshack', interval '89 days', 'failed'))
                        AS run (source, age, status)"
        }
        ExpiringRows::CursorMarks => {
            "INSERT INTO sync_streams (source, stream, watermark) VALUES ('vima', 'test', now());
             INSERT INTO sync_cursor_marks (source, stream, reached_at, cursor)
             SELECT 'vima', 'test', now() - age, 1
               FROM (VALUES (interval '6 days'), (interval '5 days'), (interval '3 days')) AS mark (age)"
        }
        ExpiringRows::Quarantine => {
            "INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
             SELECT gen_random_uuid(), 'vima', 'payin', 'no', '', sha256(age::text::bytea), gen_random_uuid(), now(), now() - age
               FROM (VALUES (interval '91 days'), (interval '89 days')) AS entry (age)"
        }
        ExpiringRows::UnreadablePages => {
            "INSERT INTO unreadable_pages (source, reason, raw, run_id, received_at)
             VALUES ('vima', 'no', '', gen_random_uuid(), now() - interval '91 days'),
                    ('payshack', 'no', '', gen_random_uuid(), now() - interval '89 days')"
        }
        // Inserted as fixtures.
        ExpiringRows::ReconciliationRuns | ExpiringRows::SupersededResults => "SELECT",
        ExpiringRows::IdempotentRequests => {
            "INSERT INTO idempotent_requests (key_hash, body_hash, created_at)
             VALUES ('old', '', now() - interval '25 hours'), ('new', '', now() - interval '23 hours')"
        }
        ExpiringRows::Sessions => {
            "INSERT INTO sessions (id, token_hash, key_id, name, role, created_at, expires_at)
             SELECT gen_random_uuid(), sha256(age::text::bytea), gen_random_uuid(), 'ada', 'admin', now() - age - interval '12 hours',
                    now() - age
               FROM (VALUES (interval '31 days'), (interval '29 days')) AS session (age)"
        }
        ExpiringRows::ExchangeRates => {
            "INSERT INTO exchange_rates (currency, fetched_at, usd)
             VALUES ('EUR', now() - interval '401 days', 1), ('EUR', now() - interval '399 days', 1)"
        }
        ExpiringRows::Balances => {
            "INSERT INTO payshack_balances (id, owner_kind, owner_id, balance_kind, amount, currency, recorded_at)
             SELECT gen_random_uuid(), 'client', owner, 'balance', 1, 'INR', now() - age
               FROM (VALUES ('a', interval '501 days'), ('a', interval '499 days'), ('last of b', interval '600 days'))
                        AS record (owner, age)"
        }
        ExpiringRows::Audit => {
            "INSERT INTO audit_entries (id, began_at, principal, role, action, details)
             SELECT gen_random_uuid(), now() - age, 'ada', 'admin', 'export', '{}'
               FROM (VALUES (interval '501 days'), (interval '499 days')) AS entry (age)"
        }
        ExpiringRows::AuditLog => {
            "ALTER TABLE audit_log DISABLE TRIGGER audit_log_refuse_delete; DELETE FROM audit_log;
             ALTER TABLE audit_log ENABLE TRIGGER audit_log_refuse_delete;
             UPDATE audit_head SET sequence = 0, hash = decode(repeat('00', 32), 'hex');
             INSERT INTO audit_log (id, recorded_at, key_id, key_name, operation, details, content_salt)
             SELECT gen_random_uuid(), now() - age, gen_random_uuid(), 'ada', 'pauseQueue', '{}', ''
               FROM (VALUES (interval '501 days'), (interval '499 days')) AS entry (age)"
        }
        ExpiringRows::Exports => {
            "INSERT INTO exports (id, job_id, name, format, wanted, requested_by, role, file_name, created_at)
             SELECT gen_random_uuid(), gen_random_uuid(), 'transactions', 'csv', '{}', 'ada', 'admin', 'a.csv', now() - age
               FROM (VALUES (interval '31 days'), (interval '29 days')) AS export (age)"
        }
        ExpiringRows::ExportedRows => {
            "INSERT INTO exported_rows (key_id, day, rows)
             SELECT gen_random_uuid(), (now() AT TIME ZONE 'UTC')::date - age, 1 FROM (VALUES (32), (28)) AS count (age)"
        }
        ExpiringRows::WebhookDeliveries => {
            "INSERT INTO webhooks (id, url, description, events, enabled, disabled_at, secret, last_event_id, created_at, created_by,
                                   updated_at)
             VALUES (gen_random_uuid(), 'https://example.com/', '', '{*}', false, now(), '', 0, now(), 'ada', now());
             INSERT INTO webhook_deliveries (id, webhook_id, type, payload, ordered, state, created_at, finished_at)
             SELECT gen_random_uuid(), webhooks.id, 'test', '{}', true, state, now() - interval '40 days', now() - age
               FROM webhooks, (VALUES ('failed', interval '31 days'), ('delivered', interval '29 days')) AS delivery (state, age)"
        }
        ExpiringRows::Alerts => {
            "INSERT INTO alerts (id, rule_name, kind, severity, subject, reason, message, judged_at, fired_at, resolved_at,
                                 resolved_message)
             SELECT gen_random_uuid(), 'r', 'quarantine', 'info', '', 'condition', '', now() - age, now() - age, now() - age, ''
               FROM (VALUES (interval '91 days'), (interval '89 days')) AS alert (age)"
        }
        ExpiringRows::ReportRuns => {
            "INSERT INTO report_schedules (id, name, kind, language, cron, timezone, destination, folder, enabled, owner_key, owner,
                                           role, created_at, updated_at)
             VALUES ('00000000-0000-0000-0000-000000000005', '', 'digest', 'en', '', '', 'object_store', '', false,
                     gen_random_uuid(), '', 'admin', now(), now());
             INSERT INTO report_runs (id, schedule_id, due_at, state, job_id, created_at)
             SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000005', now() - age, 'pending', gen_random_uuid(), now() - age
               FROM (VALUES (interval '91 days'), (interval '89 days')) AS run (age)"
        }
        ExpiringRows::SavedViews => {
            "INSERT INTO api_keys (id, name, role, prefix, key_hash, created_at, revoked_at)
             SELECT id::uuid, 'a', 'viewer', '', sha256(id::bytea), now(), now() - age
               FROM (VALUES ('00000000-0000-0000-0000-000000000008', interval '31 days'),
                            ('00000000-0000-0000-0000-000000000009', interval '29 days')) AS key (id, age);
             INSERT INTO saved_views (id, name, page, filters, shared, owner_key, owner, created_at, updated_at)
             SELECT gen_random_uuid(), '', 'jobs', '{}', false, owner::uuid, '', now(), now()
               FROM unnest(ARRAY['00000000-0000-0000-0000-000000000008', '00000000-0000-0000-0000-000000000009']) AS owner"
        }
        ExpiringRows::BulkPreviews => {
            "INSERT INTO bulk_actions (id, kind, filter, token_hash, requested_by_key, requested_by, role, item_count, created_at,
                                       expires_at)
             SELECT gen_random_uuid(), 'retry_jobs', '{}', sha256(age::text::bytea), gen_random_uuid(), 'ada', 'admin', 0, now() - age,
                    now()
               FROM (VALUES (interval '3 hours'), (interval '1 hour')) AS preview (age)"
        }
        ExpiringRows::BulkActions => {
            "INSERT INTO bulk_actions (id, kind, filter, token_hash, requested_by_key, requested_by, role, item_count, created_at,
                                       expires_at, confirmed_at, job_id)
             SELECT gen_random_uuid(), 'retry_jobs', '{}', sha256(age::text::bytea), gen_random_uuid(), 'ada', 'admin', 2, now() - age,
                    now(), now() - age, gen_random_uuid()
               FROM (VALUES (interval '31 days'), (interval '29 days')) AS action (age);
             INSERT INTO bulk_action_batches (action_id, batch, item_ids, versions)
             SELECT id, 0, ARRAY[id], ARRAY['1'] FROM bulk_actions;
             INSERT INTO bulk_action_skips (action_id, item_id, reason, detail) SELECT id, id, 'gone', '' FROM bulk_actions"
        }
        ExpiringRows::ExportFiles => {
            "INSERT INTO export_pieces (file, number, bytes, created_at)
             VALUES ('old', 0, '', now() - interval '28 hours'), ('new', 0, '', now() - interval '26 hours')"
        }
    }
}

async fn insert_result(system: &TestSystem, run_id: Uuid, date: NaiveDate) {
    let insert = format!(
        "INSERT INTO reconciliation_results (run_id, recon_date, key, match_status, types, vima_txn_id, details)
         VALUES ('{run_id}', '{date}', 'K', 'missing_payshack', '{{missing}}', gen_random_uuid(), '{{}}')"
    );
    system.pool.execute(AssertSqlSafe(insert)).await.expect("the database accepts it");
}

/// Two completed runs of the day, each with a result.
async fn insert_two_runs(system: &TestSystem, date: NaiveDate) -> [Uuid; 2] {
    let first = RunFixture::completed(date).insert(&system.pool).await;
    let second = RunFixture::completed(date).with_version(2).insert(&system.pool).await;
    for run_id in [first, second] {
        insert_result(system, run_id, date).await;
    }
    [first, second]
}

#[tokio::test]
async fn housekeeping_deletes_what_the_rules_say() {
    let system = TestSystem::start(&[]).await;
    let today = SystemClock.now().date_naive();
    let (long_ago, recently) = (today - Days::new(100), today - Days::new(10));
    for rows in ExpiringRows::ALL {
        system.pool.execute(insert(rows)).await.unwrap_or_else(|error| panic!("{rows:?}: {error}"));
    }
    for date in [long_ago, recently] {
        RunFixture::failed(date).insert(&system.pool).await;
    }
    let [superseded, last] = insert_two_runs(&system, long_ago).await;
    let [not_for_long, _] = insert_two_runs(&system, recently).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let housekeeping = system.try_run_job("housekeeping", None);
    let result = housekeeping.stdout.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let result = result.unwrap_or_else(|| panic!("{housekeeping:?}"));
    for rows in ExpiringRows::ALL {
        let expected = if rows == ExpiringRows::Events { MANY } else { 1 };
        assert_eq!(result[rows.as_str()], json!(expected), "{rows:?}: {result}");
    }
    assert_eq!(system.number("SELECT count(*) FROM sync_runs").await, 3, "the last and the last successful run stay");

    let results = |run_id| format!("/api/v1/reconciliation/runs/{run_id}/results");
    let deleted = web.request(Method::GET, &results(superseded), Some(VIEWER), None).await.expect("a response");
    assert_eq!(deleted.status, 404, "{deleted:?}");
    assert!(deleted.text.contains("superseded"), "it says where the results are: {deleted:?}");
    for run_id in [last, not_for_long] {
        assert_eq!(web.get(&results(run_id)).await["total"], 1);
    }
    for (run_id, is_deleted) in [(superseded, true), (last, false), (not_for_long, false)] {
        let run = web.get(&format!("/api/v1/reconciliation/runs/{run_id}")).await;
        assert_eq!(
            (run["results_deleted_at"].is_string(), &run["counts"]["matched"]),
            (is_deleted, &json!(3)),
            "{run}"
        );
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a plan is not checked against the schema")]
async fn last_successful_sync_is_found_without_reading_other_runs() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    pool.execute(
        "INSERT INTO sync_runs (id, source, mode, trigger, job_id, started_at, finished_at, status)
         SELECT gen_random_uuid(), 'vima', 'incremental', 'schedule', gen_random_uuid(), now() - n * interval '1 minute',
                now() - n * interval '1 minute', CASE n % 50 WHEN 0 THEN 'failed' ELSE 'succeeded' END
           FROM generate_series(1, 20000) AS n",
    )
    .await
    .expect("the database accepts it");
    pool.execute("ANALYZE sync_runs").await.expect("the database responds");
    // The queries of /sync/status.
    for query in [
        "SELECT max(finished_at) FROM sync_runs WHERE source = 'vima' AND status = 'succeeded'",
        "SELECT * FROM sync_runs WHERE source = 'vima' ORDER BY started_at DESC, id DESC LIMIT 1",
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}"));
        let plan: Value = sqlx::query_scalar(explain).fetch_one(&pool).await.expect("the database responds");
        let plan = &plan[0]["Plan"];
        let blocks = ["Shared Hit Blocks", "Shared Read Blocks"].map(|field| plan[field].as_u64().unwrap_or(0));
        assert!(blocks.iter().sum::<u64>() < 20, "{query} reads {blocks:?} blocks: {plan}");
    }
}
