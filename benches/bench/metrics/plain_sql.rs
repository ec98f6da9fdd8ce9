//! The straightforward SQL over the payments for the numbers of a response.
//!
//! PostgreSQL has its default settings, including JIT compilation and parallel workers.

use std::time::Instant;

use psp_dashboard::domain::day::DayRange;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};

const TIMEOUT: &str = "60s";
/// Statements that take longer than this, in milliseconds, are not repeated: their data does not fit into the cache anyway.
const LONG: f64 = 10_000.0;

/// Statements that compute the numbers of a response. The first one counts the payments.
#[derive(Debug, Clone)]
pub(super) struct PlainSql(Vec<String>);

#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// The duration in milliseconds, and the number of payments.
    Finished(f64, i64),
    /// They ran into [`TIMEOUT`].
    TooLong,
}

impl PlainSql {
    /// Totals of the payments of some days by the expression `group`, with the further condition `more`.
    pub(super) fn sums(group: &str, days: &DayRange, more: &str) -> Self {
        let (from, until) = days.instants();
        Self(vec![format!(
            "SELECT {group}, status, currency, count(*) AS count, sum(amount) AS amount, sum(amount_usd) AS amount_usd, \
             sum(fee) AS fee, sum(fee_usd) AS fee_usd, count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing \
             FROM transactions WHERE created_at >= '{from}' AND created_at < '{until}' {more} GROUP BY 1, 2, 3"
        )])
    }

    /// Totals of the payments of the last `minutes` by the expression `group`.
    pub(super) fn recent(group: &str, minutes: u32) -> Self {
        Self(vec![format!(
            "SELECT {group}, count(*) AS count, sum(amount) AS amount, sum(amount_usd) AS amount_usd FROM transactions \
             WHERE created_at >= now() - {minutes} * interval '1 minute' AND created_at < now() GROUP BY 1"
        )])
    }

    /// A page of the payments that match `filter`, and their number.
    pub(super) fn listing(filter: &str, order: &str, offset: u64) -> Self {
        Self(vec![
            format!("SELECT count(*) AS count FROM transactions WHERE {filter}"),
            format!("SELECT * FROM transactions WHERE {filter} ORDER BY {order} LIMIT 50 OFFSET {offset}"),
        ])
    }

    pub(super) fn and(self, other: Self) -> Self {
        [self, other].into_iter().collect()
    }

    /// Runs the statements, and again with warm caches if they do not take too long.
    pub(super) async fn run(&self, pool: &PgPool) -> Outcome {
        match self.run_once(pool).await {
            Outcome::Finished(ms, _) if ms < LONG => self.run_once(pool).await,
            outcome => outcome,
        }
    }

    async fn run_once(&self, pool: &PgPool) -> Outcome {
        let mut connection = pool.acquire().await.expect("a connection").detach();
        let timeout = format!("SET statement_timeout = '{TIMEOUT}'");
        connection.execute(AssertSqlSafe(timeout)).await.expect("the setting is accepted");
        let started = Instant::now();
        let mut counted = None;
        for statement in &self.0 {
            let rows = match connection.fetch_all(AssertSqlSafe(statement.clone())).await {
                Ok(rows) => rows,
                Err(error) if was_cancelled(&error) => return Outcome::TooLong,
                Err(error) => panic!("{statement}: {error}"),
            };
            counted.get_or_insert_with(|| rows.iter().map(|row| row.get::<i64, _>("count")).sum());
        }
        Outcome::Finished(started.elapsed().as_secs_f64() * 1_000.0, counted.unwrap_or_default())
    }
}

impl FromIterator<PlainSql> for PlainSql {
    fn from_iter<I: IntoIterator<Item = PlainSql>>(all: I) -> Self {
        Self(all.into_iter().flat_map(|plain| plain.0).collect())
    }
}

fn was_cancelled(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "57014")
}
