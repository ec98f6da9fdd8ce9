//! A walk by cursor through rows among which others arrive: each that was there at the beginning is met, and once.
//!
//! A hundred arrive in a second, half of them as the newest, half created some time within what is walked through.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::transaction::Transaction;
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use uuid::Uuid;

use super::writer::{Writer, every};
use crate::figure::{self, Target};
use crate::harness::test_system::Web;

const ROWS: i64 = 20_000;
const BETWEEN_COMMITS: Duration = Duration::from_millis(100);
const ROWS_A_COMMIT: i32 = 10;
const ORDERS: [(&str, &str); 2] = [("created_at", "created_at DESC, id DESC"), ("amount", "amount DESC, id DESC")];

/// Measures and prints.
pub(super) async fn measure(pool: &PgPool, web: &Web, writer: &Writer) {
    println!("{ROWS} rows by cursor, 50 a page, while 100 rows a second arrive:");
    for (sort_by, order) in ORDERS {
        let there = newest(pool, order).await;
        let began = Instant::now();
        let met = tokio::select! {
            met = walk(web, sort_by, there.last().copied()) => met,
            never = every(BETWEEN_COMMITS, || arrive(writer)) => never,
        };
        let skipped = there.iter().filter(|id| !met.contains_key(*id)).count();
        let repeated = met.values().filter(|times| **times > 1).count();
        let count = |count: usize| figure::count(i64::try_from(count).unwrap_or(i64::MAX));
        figure::print(&format!("by {sort_by}: rows skipped"), count(skipped), "", Target::AtMost(0.0));
        figure::print(&format!("by {sort_by}: rows repeated"), count(repeated), "", Target::AtMost(0.0));
        figure::print("it took", began.elapsed().as_secs_f64(), "s", Target::None);
    }
}

/// The ids that are there, in their order.
async fn newest(pool: &PgPool, order: &str) -> Vec<Uuid> {
    let ids = format!("SELECT id::text AS id FROM transactions ORDER BY {order} LIMIT {ROWS}");
    let rows = pool.fetch_all(AssertSqlSafe(ids)).await.expect("the rows");
    rows.iter().map(|row| row.get::<String, _>("id").parse().expect("an id")).collect()
}

/// How often each row is met until `last` is.
async fn walk(web: &Web, sort_by: &str, last: Option<Uuid>) -> HashMap<Uuid, u32> {
    let mut met = HashMap::new();
    let mut path = format!("/api/v1/transactions?sort_by={sort_by}");
    loop {
        let page = web.get(&path).await;
        for item in page["items"].as_array().expect("items") {
            let id: Uuid = item["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
            *met.entry(id).or_default() += 1;
        }
        let next = page["next_cursor"].as_str().filter(|_| last.is_some_and(|last| !met.contains_key(&last)));
        let Some(cursor) = next else { return met };
        path = format!("/api/v1/transactions?sort_by={sort_by}&cursor={cursor}");
    }
}

async fn arrive(writer: &Writer) {
    let now = SystemClock.now();
    let arriving = (0..ROWS_A_COMMIT).map(|place| -> Transaction {
        let age = if place % 2 == 0 { TimeDelta::hours(-1) } else { TimeDelta::minutes(i64::from(place) * 17) };
        writer.new_payment(now - age)
    });
    writer.store(arriving.collect()).await;
}
