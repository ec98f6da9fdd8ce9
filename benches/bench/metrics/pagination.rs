//! Cursor pages while payments arrive: each row that existed at the start is listed exactly once.
//!
//! A hundred payments arrive per second. Half of them are the newest, half were created within the listed period.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::transaction::Transaction;
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use uuid::Uuid;

use super::writer::{Writer, every};
use crate::harness::test_system::Web;
use crate::report::{self, Target};

const ROWS: i64 = 20_000;
const BETWEEN_COMMITS: Duration = Duration::from_millis(100);
const ROWS_PER_COMMIT: i32 = 10;
const ORDERS: [(&str, &str); 2] = [("created_at", "created_at DESC, id DESC"), ("amount", "amount DESC, id DESC")];

pub(super) async fn measure(pool: &PgPool, web: &Web, writer: &Writer) {
    report::heading(&format!("{ROWS} rows by cursor, 50 per page, while 100 rows per second arrive"));
    for (sort_by, order) in ORDERS {
        let expected = first_ids(pool, order).await;
        let started = Instant::now();
        let listed = tokio::select! {
            listed = list_until(web, sort_by, expected.last().copied()) => listed,
            never = every(BETWEEN_COMMITS, || store_new(writer)) => never,
        };
        let skipped = expected.iter().filter(|id| !listed.contains_key(*id)).count();
        let repeated = listed.values().filter(|times| **times > 1).count();
        let count = |count: usize| report::count(i64::try_from(count).unwrap_or(i64::MAX));
        report::print(&format!("by {sort_by}: rows skipped"), count(skipped), "", Target::AtMost(0.0));
        report::print(&format!("by {sort_by}: rows repeated"), count(repeated), "", Target::AtMost(0.0));
        report::print(&format!("by {sort_by}: duration"), started.elapsed().as_secs_f64(), "s", Target::None);
    }
}

/// The ids of the first rows.
async fn first_ids(pool: &PgPool, order: &str) -> Vec<Uuid> {
    let ids = format!("SELECT id::text AS id FROM transactions ORDER BY {order} LIMIT {ROWS}");
    let rows = pool.fetch_all(AssertSqlSafe(ids)).await.expect("the database responds");
    rows.iter().map(|row| row.get::<String, _>("id").parse().expect("an id")).collect()
}

/// Counts how often each row is listed, up to the page with `last`.
async fn list_until(web: &Web, sort_by: &str, last: Option<Uuid>) -> HashMap<Uuid, u32> {
    let mut listed = HashMap::new();
    let mut path = format!("/api/v1/transactions?sort_by={sort_by}");
    loop {
        let page = web.get(&path).await;
        for item in page["items"].as_array().expect("items") {
            let id: Uuid = item["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
            *listed.entry(id).or_default() += 1;
        }
        let next = page["next_cursor"].as_str().filter(|_| last.is_some_and(|last| !listed.contains_key(&last)));
        let Some(cursor) = next else { return listed };
        path = format!("/api/v1/transactions?sort_by={sort_by}&cursor={cursor}");
    }
}

/// Stores the payments of one commit.
async fn store_new(writer: &Writer) {
    let now = SystemClock.now();
    let payments = (0..ROWS_PER_COMMIT).map(|index| -> Transaction {
        let age = if index % 2 == 0 { TimeDelta::hours(-1) } else { TimeDelta::minutes(i64::from(index) * 17) };
        writer.new_payment(now - age)
    });
    writer.store(payments.collect()).await;
}
