//! What a question comes to when it is asked of the payments themselves, in the SQL that anybody would write.
//!
//! PostgreSQL has its default settings for it, compilation and parallel workers included.

use std::time::Instant;

use psp_dashboard::domain::day::DayRange;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};

/// Longer than this nobody waits.
const PATIENCE: &str = "60s";
/// What takes longer than this, in milliseconds, is not repeated: it reads the same again.
const LONG: f64 = 10_000.0;

/// Statements that give the numbers of an answer.
#[derive(Debug, Clone)]
pub(super) struct Plain(Vec<String>);

/// What came of them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// They took so many milliseconds, and counted so many payments.
    Took(f64, i64),
    /// They took longer than anybody waits.
    TooLong,
}

impl Plain {
    /// The sums of the payments of some days, by `group`, which is an expression; of those that `more` says as well.
    pub(super) fn sums(group: &str, days: &DayRange, more: &str) -> Self {
        let (from, until) = days.instants();
        Self(vec![format!(
            "SELECT {group}, status, currency, count(*) AS count, sum(amount) AS amount, sum(amount_usd) AS amount_usd, \
             sum(fee) AS fee, sum(fee_usd) AS fee_usd, count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing \
             FROM transactions WHERE created_at >= '{from}' AND created_at < '{until}' {more} GROUP BY 1, 2, 3"
        )])
    }

    /// The sums of the payments of the last `minutes`, by `group`.
    pub(super) fn recent(group: &str, minutes: u32) -> Self {
        Self(vec![format!(
            "SELECT {group}, count(*) AS count, sum(amount) AS amount, sum(amount_usd) AS amount_usd FROM transactions \
             WHERE created_at >= now() - {minutes} * interval '1 minute' AND created_at < now() GROUP BY 1"
        )])
    }

    /// A page of the payments that `filter` finds, and how many these are.
    pub(super) fn listing(filter: &str, order: &str, offset: u64) -> Self {
        Self(vec![
            format!("SELECT count(*) AS count FROM transactions WHERE {filter}"),
            format!("SELECT * FROM transactions WHERE {filter} ORDER BY {order} LIMIT 50 OFFSET {offset}"),
        ])
    }

    /// These statements, and those of the other.
    pub(super) fn and(self, other: Self) -> Self {
        [self, other].into_iter().collect()
    }

    /// Carries them out, and again where that does not take too long: the second time everything is warm.
    pub(super) async fn run(&self, pool: &PgPool) -> Outcome {
        match self.run_once(pool).await {
            Outcome::Took(took, _) if took < LONG => self.run_once(pool).await,
            outcome => outcome,
        }
    }

    async fn run_once(&self, pool: &PgPool) -> Outcome {
        let mut connection = pool.acquire().await.expect("a connection").detach();
        let patience = format!("SET statement_timeout = '{PATIENCE}'");
        connection.execute(AssertSqlSafe(patience)).await.expect("a setting");
        let began = Instant::now();
        let mut counted = None;
        for statement in &self.0 {
            let rows = match connection.fetch_all(AssertSqlSafe(statement.clone())).await {
                Ok(rows) => rows,
                Err(error) if was_cancelled(&error) => return Outcome::TooLong,
                Err(error) => panic!("{statement}: {error}"),
            };
            // The first statement is the one that counts what is asked for.
            counted.get_or_insert_with(|| rows.iter().map(|row| row.get::<i64, _>("count")).sum());
        }
        Outcome::Took(began.elapsed().as_secs_f64() * 1_000.0, counted.unwrap_or_default())
    }
}

impl FromIterator<Plain> for Plain {
    fn from_iter<I: IntoIterator<Item = Plain>>(all: I) -> Self {
        Self(all.into_iter().flat_map(|plain| plain.0).collect())
    }
}

fn was_cancelled(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "57014")
}
