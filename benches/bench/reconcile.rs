//! The reconciliation of a day with a million payments on each side, compared with a plain join that only counts.

use std::time::Instant;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};

use crate::harness::programs::Memory;
use crate::harness::test_system::TestSystem;
use crate::report::{self, Target};

const PAIRS: i32 = 1_000_000;

/// Measures a first run, which opens 31,000 discrepancies, and a second one that finds the same again.
pub(crate) async fn measure() {
    let system = TestSystem::start(&["--per-day", "0"]).await;
    let day: NaiveDate = "2026-01-15".parse().expect("a day");
    store_day(&system.pool, day).await;
    let worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    report::heading(&format!("a day of {PAIRS} payments on each side"));
    let baseline = join_alone(&system.pool).await.min(join_alone(&system.pool).await);
    report::print("plain full join that only counts", baseline, "s", Target::None);
    for run in ["first run, 31,000 new discrepancies", "the same again, nothing changed"] {
        let counts = reconcile(&system, day);
        assert_eq!(counts["matched"], 970_000, "{counts}");
        let seconds = seconds_of_last_run(&system.pool).await;
        report::print(run, seconds, "s", Target::AtMost(12.0));
        report::print(&format!("{run}: ratio to the plain join"), seconds / baseline, "", Target::AtMost(4.0));
    }
    let peak = worker.memory_mib(Memory::Peak);
    report::print("peak memory of the worker", peak, "MB", Target::AtMost(60.0));
}

fn reconcile(system: &TestSystem, day: NaiveDate) -> Value {
    let output = system.try_run_job("reconcile", Some(&json!({"date": day}).to_string()));
    let result: Value = serde_json::from_str(output.stdout.lines().last().unwrap_or_default()).expect("a result");
    result["counts"].clone()
}

/// Inserts a day like those of the sandbox. Three in a hundred payments do not match: different amounts or statuses,
/// missing and duplicate payments.
async fn store_day(pool: &PgPool, day: NaiveDate) {
    let payments = sqlx::query!(
        r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, order_id, project,
                                     amount, paid_amount, currency, status, original_status, created_at, updated_at,
                                     ingested_at, raw_data)
           SELECT gen_random_uuid(), source, 'payin', (1180000000000000000 + number)::text, '\x00112233445566778899aabbccddeeff',
                  CASE source WHEN 'vima' THEN key END, CASE source WHEN 'payshack' THEN key END, '91game',
                  CASE WHEN number % 100 = 1 AND source = 'payshack' THEN 101 ELSE 100 + number % 5000 END,
                  CASE source WHEN 'payshack' THEN 100 + number % 5000 + CASE WHEN number % 100 = 2 THEN 1 ELSE 0 END END, 'INR',
                  CASE WHEN number % 100 = 3 AND source = 'payshack' THEN 'failed' ELSE 'success' END, 'success',
                  at, at + interval '1 minute', now(), json_build_object('id', number, 'more', repeat('x', 500))
             FROM generate_series(1, $1) AS number
                  CROSS JOIN UNNEST(ARRAY['vima', 'payshack']) AS source
                  -- As merchants make them: mostly digits grown from the time, sometimes letters.
                  CROSS JOIN LATERAL (SELECT CASE WHEN number % 4 = 0 THEN 'A' || upper(left(md5(number::text), 13))
                                                  ELSE 1768435200000 + number * 86::bigint || lpad((number * 7919::bigint % 99991)::text, 5, '0')
                                             END AS key) AS keys
                  CROSS JOIN LATERAL (SELECT $2::date::timestamp AT TIME ZONE 'UTC' + number * interval '86000 seconds' / $1
                                                 + CASE source WHEN 'payshack' THEN interval '15 seconds' ELSE '0' END AS at) AS times
            WHERE NOT (number % 200 = 4 AND source = 'payshack') AND NOT (number % 200 = 5 AND source = 'vima')"#,
        PAIRS,
        day
    );
    payments.execute(pool).await.expect("the payments are inserted");
    let duplicates = sqlx::query!(
        r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, project, amount, currency,
                                     status, created_at, ingested_at, raw_data)
           SELECT gen_random_uuid(), source, kind, source_id || '9', content_hash, client_operation_id, project, amount, currency,
                  'failed', created_at + interval '2 minutes', now(), raw_data
             FROM transactions WHERE source = 'vima' AND right(source_id, 3) = '777'"#
    );
    duplicates.execute(pool).await.expect("the duplicates are inserted");
    let read = sqlx::query!(
        r#"INSERT INTO sync_streams (source, stream, day, watermark, covered_from)
           VALUES ('vima', 'creations', NULL, now(), NULL), ('vima', 'updates', NULL, now(), NULL),
                  ('payshack', 'payins', NULL, now(), NULL), ('payshack', 'payouts', NULL, now(), NULL),
                  ('vima', 'history', $1::date - 7, NULL, $1::date - 7), ('payshack', 'history', $1::date - 7, NULL, $1::date - 7)"#,
        day
    );
    read.execute(pool).await.expect("the streams are inserted");
    pool.execute("VACUUM ANALYZE transactions").await.expect("statistics");
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
