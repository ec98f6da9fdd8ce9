//! How PostgreSQL executes the statements of a reconciliation: what makes a day of a million payments fast, which no result shows.

use chrono::NaiveDate;
use psp_dashboard::db::reconciliation::judge::begin_snapshot;
use sqlx::postgres::types::PgInterval;
use sqlx::{Executor, PgConnection};

use crate::harness::servers::{Servers, number};

const NEARBY_KEYS: &str = concat!("EXPLAIN ", include_str!("../../src/db/reconciliation/judge/nearby_keys.sql"));
const DAY_GROUPS: &str = concat!("EXPLAIN ", include_str!("../../src/db/reconciliation/judge/day_groups.sql"));

#[expect(clippy::disallowed_methods, reason = "a plan is not checked against the schema")]
async fn plan(connection: &mut PgConnection, explain: &'static str, day: NaiveDate) -> String {
    let window = PgInterval { months: 0, days: 0, microseconds: 24 * 3_600_000_000 };
    let from = day.and_time(chrono::NaiveTime::MIN).and_utc();
    let lines = sqlx::query_scalar::<_, String>(explain)
        .bind(from)
        .bind(from + chrono::TimeDelta::days(1))
        .bind(window)
        .bind(None::<Vec<String>>)
        .fetch_all(connection);
    lines.await.expect("a plan").join("\n")
}

#[tokio::test]
async fn a_day_is_read_in_parallel_and_no_key_is_checked_row_by_row() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let day: NaiveDate = "2026-01-15".parse().expect("a day");
    let mut snapshot = begin_snapshot(&pool, day).await.expect("a snapshot");
    // The table is empty here.
    snapshot.execute("SET LOCAL min_parallel_table_scan_size = 0").await.expect("a setting");
    snapshot.execute("SET LOCAL enable_indexscan = off").await.expect("a setting");
    snapshot.execute("SET LOCAL enable_bitmapscan = off").await.expect("a setting");
    for explain in [NEARBY_KEYS, DAY_GROUPS] {
        let plan = plan(&mut snapshot, explain, day).await;
        assert!(plan.contains("Parallel Seq Scan on transactions"), "{plan}");
    }
    // A window as long as the day cannot be exceeded within it, so it is not looked at.
    assert!(!plan(&mut snapshot, DAY_GROUPS, day).await.contains("max("), "the window is compared for each key");
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'
                   AND conrelid IN ('reconciliation_results'::regclass, 'discrepancy_changes'::regclass)";
    assert_eq!(number(&pool, keys).await, 0);
}
