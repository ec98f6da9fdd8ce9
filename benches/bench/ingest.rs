//! The throughput of syncs, compared with the same upserts alone.
//!
//! The syncs run as in production, without a rate limit: a worker process reads from the sandbox over HTTP. The baseline
//! writes the same payments again, a hundred per transaction, over one connection: only the statement that stores payments,
//! without rules, metrics, history or run records.

use std::time::{Duration, Instant};

use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::transactions::{TransactionWrite, upsert};
use psp_dashboard::domain::exchange_rate::{Rates, Valuation};
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::transaction::Transaction;
use psp_dashboard::domain::upsert::RulesGeneration;
use psp_dashboard::providers::payshack::{Projects, read_payin, read_payout};
use psp_dashboard::providers::vima::read_operation;
use sqlx::{Executor, PgPool};
use uuid::Uuid;

use crate::harness::test_system::TestSystem;
use crate::report::{self, Target};

const PAGE: usize = 100;

pub(crate) async fn measure() {
    let system = TestSystem::start(&["--history-days", "4", "--per-day", "25000"]).await;
    let worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    for source in ["vima", "payshack"] {
        let busy_before = time_in_postgres(&system.pool).await;
        let started = Instant::now();
        system.run_job(&format!("sync-{source}"), Some(r#"{"mode":"full"}"#));
        let elapsed = started.elapsed();
        let busy = time_in_postgres(&system.pool).await.saturating_sub(busy_before);
        let run = sqlx::query!(
            r#"SELECT records_seen, EXTRACT(EPOCH FROM finished_at - started_at)::float8 AS "seconds!"
                 FROM sync_runs WHERE source = $1 ORDER BY started_at DESC LIMIT 1"#,
            source
        );
        let run = run.fetch_one(&system.pool).await.expect("the run exists");
        let rate = per_second(run.records_seen, run.seconds);
        let share = 100.0 * busy.as_secs_f64() / elapsed.as_secs_f64();
        let baseline = upserts_alone(&system.pool, source).await;
        report::heading(&format!("{source}: a full sync of {} records, no rate limit", run.records_seen));
        report::print("fetch and store", rate, "/s", Target::None);
        report::print("share of the time in PostgreSQL", share, "%", Target::None);
        report::print("the same upserts alone", baseline, "/s", Target::None);
        report::print("ratio to the upserts alone", rate / baseline, "", Target::AtLeast(0.7));
    }
    drop(worker);
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
        upsert(&mut transaction, &writes, SystemClock.now()).await.expect("the payments are new");
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
