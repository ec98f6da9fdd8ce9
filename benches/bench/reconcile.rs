//! The reconciliation of a day with a million payments on each side, compared with a plain join that only counts.

use std::time::Instant;

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};

use crate::harness::programs::Memory;
use crate::harness::test_system::TestSystem;
use crate::report::{self, Target};

const PAIRS: i32 = 1_000_000;

/// Measures a first run, which opens 31,000 discrepancies, and a second one that finds the same again. Then the same with as many
/// payments on the day before and on the day after, which may contain counterparts.
pub(crate) async fn measure() {
    let system = TestSystem::start(&["--per-day", "0"]).await;
    drop_indexes_of_searches(&system.pool).await;
    let day: NaiveDate = "2026-01-15".parse().expect("a day");
    store_day(&system.pool, day, 0).await;
    store_streams(&system.pool, day).await;
    let worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    report::heading(&format!("a day of {PAIRS} payments on each side"));
    let baseline = join_alone(&system.pool).await.min(join_alone(&system.pool).await);
    report::print("plain full join that only counts", baseline, "s", Target::None);
    measure_run(&system, day, baseline, "first run, 31,000 new discrepancies", 3.0).await;
    measure_run(&system, day, baseline, "the same again, nothing changed", 2.5).await;
    store_day(&system.pool, day - Days::new(1), -1).await;
    store_day(&system.pool, day + Days::new(1), 1).await;
    let baseline = join_alone(&system.pool).await.min(join_alone(&system.pool).await);
    report::print("plain full join between equally busy days", baseline, "s", Target::None);
    measure_run(&system, day, baseline, "the same again between equally busy days", 4.0).await;
    let peak = worker.memory_mib(Memory::Peak);
    report::print("peak memory of the worker", peak, "MB", Target::AtMost(60.0));
}

async fn measure_run(system: &TestSystem, day: NaiveDate, baseline: f64, name: &str, ratio: f64) {
    let counts = reconcile(system, day);
    assert_eq!(counts["matched"], 970_000, "{counts}");
    let seconds = seconds_of_last_run(&system.pool).await;
    report::print(name, seconds, "s", Target::AtMost(12.0));
    report::print(&format!("{name}: ratio to the plain join"), seconds / baseline, "", Target::AtMost(ratio));
}

/// Storing millions of payments takes much longer with these indexes, which reconciliation does not use.
async fn drop_indexes_of_searches(pool: &PgPool) {
    pool.execute("DROP INDEX IF EXISTS transactions_by_parts_of_ids, transactions_by_parts_of_person")
        .await
        .expect("indexes can be dropped");
}

fn reconcile(system: &TestSystem, day: NaiveDate) -> Value {
    let output = system.try_run_job("reconcile", Some(&json!({"date": day}).to_string()));
    let result: Value = serde_json::from_str(output.stdout.lines().last().unwrap_or_default()).expect("a result");
    result["counts"].clone()
}

/// Inserts a day like those of the sandbox. Three in a hundred payments do not match: different amounts or statuses,
/// missing and duplicate payments. No two days have ids or keys in common.
async fn store_day(pool: &PgPool, day: NaiveDate, offset: i64) {
    let payments = sqlx::query!(
        r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, order_id, project,
                                     amount, paid_amount, currency, status, original_status, created_at, updated_at,
                                     ingested_at, raw_data)
           SELECT gen_random_uuid(), source, 'payin', (1180000000000000000 + $3::bigint * 10000000 + number)::text, '\x00112233445566778899aabbccddeeff',
                  CASE source WHEN 'vima' THEN key END, CASE source WHEN 'payshack' THEN key END, '91game',
                  CASE WHEN number % 100 = 1 AND source = 'payshack' THEN 101 ELSE 100 + number % 5000 END,
                  CASE source WHEN 'payshack' THEN 100 + number % 5000 + CASE WHEN number % 100 = 2 THEN 1 ELSE 0 END END, 'INR',
                  CASE WHEN number % 100 = 3 AND source = 'payshack' THEN 'failed' ELSE 'success' END, 'success',
                  at, at + interval '1 minute', now(), json_build_object('id', number, 'more', repeat('x', 500))
             FROM generate_series(1, $1) AS number
                  CROSS JOIN UNNEST(ARRAY['vima', 'payshack']) AS source
                  -- As merchants make them: mostly digits grown from the time, sometimes letters.
                  CROSS JOIN LATERAL (SELECT CASE WHEN number % 4 = 0 THEN 'A' || upper(left(md5((number + $3::bigint * 10000000)::text), 13))
                                                  ELSE 1768435200000 + $3::bigint * 86400000 + number * 86::bigint || lpad((number * 7919::bigint % 99991)::text, 5, '0')
                                             END AS key) AS keys
                  CROSS JOIN LATERAL (SELECT $2::date::timestamp AT TIME ZONE 'UTC' + number * interval '86000 seconds' / $1
                                                 + CASE source WHEN 'payshack' THEN interval '15 seconds' ELSE '0' END AS at) AS times
            WHERE NOT (number % 200 = 4 AND source = 'payshack') AND NOT (number % 200 = 5 AND source = 'vima')"#,
        PAIRS,
        day,
        offset
    );
    payments.execute(pool).await.expect("the payments are inserted");
    let duplicates = sqlx::query!(
        r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, project, amount, currency,
                                     status, created_at, ingested_at, raw_data)
           SELECT gen_random_uuid(), source, kind, source_id || '9', content_hash, client_operation_id, project, amount, currency,
                  'failed', created_at + interval '2 minutes', now(), raw_data
             FROM transactions WHERE source = 'vima' AND right(source_id, 3) = '777'
              AND created_at >= $1::date::timestamp AT TIME ZONE 'UTC'
              AND created_at < ($1 + 1)::timestamp AT TIME ZONE 'UTC'"#,
        day
    );
    duplicates.execute(pool).await.expect("the duplicates are inserted");
    pool.execute("VACUUM ANALYZE transactions").await.expect("statistics");
}

/// All days around `day` have been read completely.
async fn store_streams(pool: &PgPool, day: NaiveDate) {
    let read = sqlx::query!(
        r#"INSERT INTO sync_streams (source, stream, day, watermark, covered_from)
           VALUES ('vima', 'creations', NULL, now(), NULL), ('vima', 'updates', NULL, now(), NULL),
                  ('payshack', 'payins', NULL, now(), NULL), ('payshack', 'payouts', NULL, now(), NULL),
                  ('vima', 'history', $1::date - 7, NULL, $1::date - 7), ('payshack', 'history', $1::date - 7, NULL, $1::date - 7)"#,
        day
    );
    read.execute(pool).await.expect("the streams are inserted");
}

/// The duration in seconds of joining the payments of the day by their keys and counting the pairs.
async fn join_alone(pool: &PgPool) -> f64 {
    let started = Instant::now();
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
             FROM (SELECT client_operation_id AS key FROM transactions WHERE source = 'vima' AND kind = 'payin' AND project = '91game'
                      AND created_at >= '2026-01-15 00:00Z' AND created_at < '2026-01-16 00:00Z') AS vima
                  FULL JOIN
                  (SELECT order_id AS key FROM transactions WHERE source = 'payshack' AND kind = 'payin' AND project = '91game'
                      AND created_at >= '2026-01-15 00:00Z' AND created_at < '2026-01-16 00:00Z') AS payshack USING (key)"#
    );
    let count = count.fetch_one(pool).await.expect("a count");
    assert!(count >= i64::from(PAIRS), "{count}");
    started.elapsed().as_secs_f64()
}

async fn seconds_of_last_run(pool: &PgPool) -> f64 {
    let seconds = sqlx::query_scalar!(
        r#"SELECT EXTRACT(EPOCH FROM finished_at - started_at)::float8 AS "seconds!"
             FROM reconciliation_runs ORDER BY version DESC LIMIT 1"#
    );
    seconds.fetch_one(pool).await.expect("the run exists")
}
