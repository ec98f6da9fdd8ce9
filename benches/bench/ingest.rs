//! The throughput of syncs, without and with many payments stored, with and without the indexes for search and filters.
//!
//! The syncs run as in production, without a rate limit: a worker process reads from the sandbox over HTTP. With nothing stored,
//! two installations take turns, of which one lacks the indexes; with many payments stored (the last number of
//! `PSP_BENCH_PAYMENTS`, default `10000000`) the same installation reads other days after they were dropped. The baseline writes
//! the same payments again, a hundred per transaction, over one connection: only the statement that stores payments, without
//! rules, metrics, history or run records.

use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::transactions::{TransactionWrite, upsert};
use psp_dashboard::domain::exchange_rate::{Rates, Valuation};
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::transaction::Transaction;
use psp_dashboard::domain::upsert::RulesGeneration;
use psp_dashboard::providers::payshack::{Projects, read_payin, read_payout};
use psp_dashboard::providers::vima::read_operation;
use sqlx::{AssertSqlSafe, Executor, PgPool};
use uuid::Uuid;

use crate::harness::test_system::TestSystem;
use crate::metrics;
use crate::report::{self, Target};
use crate::stored_payments::own_system;

const PAGE: usize = 100;
const SOURCES: [&str; 2] = ["vima", "payshack"];
/// The days that a sync reads.
const DAYS: u64 = 4;
const PER_DAY: &str = "25000";
/// What only searches and filtered listings need.
const SEARCH_AND_FILTER_INDEXES: [&str; 11] = [
    "transactions_by_project",
    "transactions_by_merchant",
    "transactions_by_country",
    "transactions_by_payment_method",
    "transactions_by_currency",
    "transactions_by_rare_status",
    "transactions_paid_out",
    "transactions_by_amount",
    "transactions_by_change",
    "transactions_by_parts_of_ids",
    "transactions_by_parts_of_person",
];

pub(crate) async fn measure() {
    measure_empty().await;
    if let Some(most) = metrics::counts("10000000").last() {
        measure_stored(*most).await;
    }
}

/// Each source is synced into an installation without payments, and into another one that also lacks the indexes.
async fn measure_empty() {
    let days = DAYS.to_string();
    let sandbox = ["--history-days", &days, "--per-day", PER_DAY];
    let (complete, reduced) = (TestSystem::start(&sandbox).await, TestSystem::start(&sandbox).await);
    drop_search_and_filter_indexes(&reduced.pool).await;
    for source in SOURCES {
        let with = sync(&complete, source, r#"{"mode":"full"}"#).await;
        let without = sync(&reduced, source, r#"{"mode":"full"}"#).await;
        report::heading(&format!("{source}: a full sync of {} records into empty tables, no rate limit", with.records));
        print(&with, &without, 15_000.0);
        let baseline = upserts_alone(&complete.pool, source).await;
        report::print("the same upserts alone", baseline, "/s", Target::None);
        report::print("ratio to the upserts alone", with.rate() / baseline, "", Target::AtLeast(0.7));
    }
}

/// The older half of the sandbox's days is read with all indexes, the newer half without those for search and filters.
async fn measure_stored(count: u64) {
    let days = (2 * DAYS).to_string();
    let (system, _) = own_system(count, &["--history-days", &days, "--per-day", PER_DAY]).await;
    let now = SystemClock.now();
    let range = |last: NaiveDate| {
        let first = last - Days::new(DAYS - 1);
        format!(r#"{{"mode":"range","from_date":"{first}","to_date":"{last}"}}"#)
    };
    let (older, newer) = (range(now.date_naive() - Days::new(DAYS)), range(now.date_naive()));
    let mut with = vec![];
    for source in SOURCES {
        with.push(sync(&system, source, &older).await);
    }
    drop_search_and_filter_indexes(&system.pool).await;
    for (source, with) in SOURCES.into_iter().zip(with) {
        let without = sync(&system, source, &newer).await;
        let synced = format!("{source}: a sync of {} records next to {count} payments", with.records);
        report::heading(&synced);
        print(&with, &without, 8_000.0);
    }
}

fn print(with: &Synced, without: &Synced, target: f64) {
    report::print("fetch and store", with.rate(), "/s", Target::AtLeast(target));
    report::print("share of the time in PostgreSQL", with.share_in_postgres(), "%", Target::None);
    report::print("without the indexes for search and filters", without.rate(), "/s", Target::None);
    let share = 100.0 * (1.0 - with.rate() / without.rate());
    report::print("share of the time for these indexes", share, "%", Target::AtMost(50.0));
}

/// A finished sync.
struct Synced {
    records: i64,
    seconds: f64,
    /// Of the sessions of the database.
    in_postgres: Duration,
}

impl Synced {
    fn rate(&self) -> f64 {
        per_second(self.records, self.seconds)
    }

    fn share_in_postgres(&self) -> f64 {
        100.0 * self.in_postgres.as_secs_f64() / self.seconds
    }
}

/// Syncs in a worker process of its own, which ends afterwards.
async fn sync(system: &TestSystem, source: &str, args: &str) -> Synced {
    let worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    let busy_before = time_in_postgres(&system.pool).await;
    system.run_job(&format!("sync-{source}"), Some(args));
    let in_postgres = time_in_postgres(&system.pool).await.saturating_sub(busy_before);
    drop(worker);
    let run = sqlx::query!(
        r#"SELECT records_seen, EXTRACT(EPOCH FROM finished_at - started_at)::float8 AS "seconds!"
                 FROM sync_runs WHERE source = $1 ORDER BY started_at DESC LIMIT 1"#,
        source
    );
    let run = run.fetch_one(&system.pool).await.expect("the run exists");
    Synced { records: run.records_seen, seconds: run.seconds, in_postgres }
}

async fn drop_search_and_filter_indexes(pool: &PgPool) {
    for index in SEARCH_AND_FILTER_INDEXES {
        pool.execute(AssertSqlSafe(format!("DROP INDEX {index}"))).await.expect("a migration created the index");
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of records are far below 2^52")]
fn per_second(count: i64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// How long sessions of this database have executed statements so far.
async fn time_in_postgres(pool: &PgPool) -> Duration {
    let flushed = sqlx::query_scalar!("SELECT pg_stat_force_next_flush()::text").fetch_one(pool).await;
    flushed.expect("statistics can be flushed");
    let millis = sqlx::query_scalar!(
        r#"SELECT active_time AS "active_time!" FROM pg_stat_database WHERE datname = current_database()"#
    );
    Duration::from_secs_f64(millis.fetch_one(pool).await.expect("statistics are kept") / 1000.0)
}

/// Upserts per second of the payments of `source`, without anything else.
async fn upserts_alone(pool: &PgPool, source: &str) -> f64 {
    let payments = payments_of(pool, source).await;
    let create_table = "CREATE TABLE baseline.transactions (LIKE public.transactions INCLUDING ALL)";
    let mut connection = pool.acquire().await.expect("a connection");
    let prepare = [
        "DROP SCHEMA IF EXISTS baseline CASCADE",
        "CREATE SCHEMA baseline",
        create_table,
        "SET search_path TO baseline",
    ];
    for statement in prepare {
        connection.execute(statement).await.expect("the schema is created");
    }
    let started = Instant::now();
    for page in payments.chunks(PAGE) {
        let mut transaction = sqlx::Connection::begin(&mut *connection).await.expect("a transaction");
        let writes: Vec<TransactionWrite<'_>> = page.iter().map(write).collect();
        upsert(&mut transaction, &writes, None, SystemClock.now()).await.expect("the payments are new");
        transaction.commit().await.expect("a commit");
    }
    let elapsed = started.elapsed();
    connection.execute("RESET search_path").await.expect("the setting is accepted");
    per_second(i64::try_from(payments.len()).unwrap_or(i64::MAX), elapsed.as_secs_f64())
}

fn write(payment: &Transaction) -> TransactionWrite<'_> {
    let content = payment.content_hash();
    let valuation = Valuation::new(payment, &Rates::default());
    let read_by = RulesGeneration(1);
    TransactionWrite {
        id: Uuid::now_v7(),
        expected: None,
        content,
        replaced_in_place: false,
        read_by,
        payment,
        valuation,
    }
}

async fn payments_of(pool: &PgPool, source: &str) -> Vec<Transaction> {
    let rows = sqlx::query!(r#"SELECT kind, raw_data::text AS "raw!" FROM transactions WHERE source = $1"#, source)
        .fetch_all(pool)
        .await
        .expect("the payments are stored");
    let projects = Projects::default();
    rows.iter()
        .filter_map(|row| {
            let record = match (source, row.kind.as_str()) {
                ("vima", _) => read_operation(&row.raw).record,
                (_, "payin") => read_payin(&row.raw, &projects),
                _ => read_payout(&row.raw, &projects),
            };
            match record {
                Record::Payment(payment) => Some(*payment),
                Record::Malformed(_) => None,
            }
        })
        .collect()
}
