//! Compares all payments of a day.
//!
//! Reading a million payments of each side takes longest, so it is done in statements that PostgreSQL executes in parallel:
//! those that only read, which `CREATE TABLE AS` does and `INSERT` does not. They leave the few rows that are not plainly matched
//! in temporary tables, for one statement that judges and writes them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::{Executor, FromRow, PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::reconciliation::tally::{Amounts, AmountsByCurrency, Tally};
use crate::domain::reconciliation::{Coverages, Parameters};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRun {
    pub id: Uuid,
    pub date: NaiveDate,
    /// The first instant of the day.
    pub from: DateTime<Utc>,
    /// The first instant of the next day.
    pub until: DateTime<Utc>,
}

/// Begins a transaction with one snapshot of the database, and locks the day against other runs.
///
/// # Errors
/// [`DbError::Conflict`] if another run has locked the day.
pub async fn begin_snapshot(pool: &PgPool, date: NaiveDate) -> Result<Transaction<'static, Postgres>, DbError> {
    let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    let lock = format!("reconcile {date}");
    let locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "locked!""#, lock);
    if !locked.fetch_one(&mut *transaction).await? {
        return Err(DbError::Conflict("the reconciliation of this day"));
    }
    // The planner cannot estimate the rows of a step, and a plan for a few would never end with a million, so only hash joins are
    // allowed. Without JIT: compiling the statement takes longer than running it. The memory holds a million keys: fewer keys use
    // less, more keys spill to disk. Rows are sent by parallel processes for less than the planner believes, and the process that
    // groups them has no time to read some itself.
    sqlx::query!(
        r#"SELECT set_config('work_mem', '256MB', true) AS memory, set_config('jit', 'off', true) AS jit,
                  set_config('enable_mergejoin', 'off', true) AS merges, set_config('enable_nestloop', 'off', true) AS loops,
                  set_config('parallel_tuple_cost', '0', true) AS tuple_cost,
                  set_config('parallel_setup_cost', '0', true) AS setup_cost,
                  set_config('parallel_leader_participation', 'off', true) AS leader"#
    )
    .fetch_one(&mut *transaction)
    .await?;
    Ok(transaction)
}

/// Compares all payments of the run's day as of `as_of`, writes the ones that do not match, and counts all of them.
pub async fn judge(
    connection: &mut PgConnection,
    run: &DayRun,
    parameters: &Parameters,
    coverages: &Coverages,
    as_of: DateTime<Utc>,
) -> Result<(Tally, AmountsByCurrency), DbError> {
    find_rows_to_judge(connection, run, parameters).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "no migration creates the temporary tables, so the query cannot be checked"
    )]
    let judged = sqlx::query_as::<_, ResultSum>(include_str!("judge/judge.sql"));
    let rows = judged
        .persistent(false)
        .bind(run.id)
        .bind(run.date)
        .bind(interval(Duration::from_hours(parameters.window_hours.into())))
        .bind(parameters.amount_tolerance)
        .bind(parameters.amount_tolerance_percent)
        .bind(as_of)
        .bind(interval(Duration::from_mins(parameters.pending_grace_minutes.into())))
        .bind(interval(Duration::from_mins(parameters.settle_minutes.into())))
        .bind(coverages.vima.watermark)
        .bind(coverages.vima.covered_from)
        .bind(coverages.payshack.watermark)
        .bind(coverages.payshack.covered_from)
        .fetch_all(connection)
        .await?;
    add_up(&rows)
}

/// Creates the temporary tables `day_groups`, with the number of plain payments, and `not_plain`, with all other rows.
async fn find_rows_to_judge(
    connection: &mut PgConnection,
    run: &DayRun,
    parameters: &Parameters,
) -> Result<(), DbError> {
    create_table(connection, include_str!("judge/nearby_keys.sql"), run, parameters).await?;
    create_table(connection, include_str!("judge/day_groups.sql"), run, parameters).await?;
    // With their number known, the planner can decide whether to find the rows by the indexes of the keys, one by one, or to read
    // the whole day again.
    connection.execute("ANALYZE day_groups, nearby_keys").await?;
    allow_nested_loops(connection, true).await?;
    create_table(connection, include_str!("judge/not_plain.sql"), run, parameters).await?;
    allow_nested_loops(connection, false).await
}

async fn create_table(
    connection: &mut PgConnection,
    statement: &'static str,
    run: &DayRun,
    parameters: &Parameters,
) -> Result<(), DbError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the checked macros do not know the tables that the statements create"
    )]
    let create = sqlx::query(statement);
    create
        .persistent(false)
        .bind(run.from)
        .bind(run.until)
        .bind(interval(Duration::from_hours(parameters.window_hours.into())))
        .bind(parameters.projects.names())
        .execute(connection)
        .await?;
    Ok(())
}

async fn allow_nested_loops(connection: &mut PgConnection, allowed: bool) -> Result<(), DbError> {
    sqlx::query!("SELECT set_config('enable_nestloop', $1::boolean::text, true) AS loops", allowed)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Payments with the same result.
#[derive(Debug, FromRow)]
struct ResultSum {
    match_status: String,
    #[sqlx(rename = "type")]
    r#type: Option<String>,
    currency: String,
    count: i64,
    vima_rows: i64,
    payshack_rows: i64,
    amount: Decimal,
}

fn add_up(sums: &[ResultSum]) -> Result<(Tally, AmountsByCurrency), DbError> {
    let (mut tally, mut by_currency) = (Tally::default(), AmountsByCurrency::new());
    for sum in sums {
        let count = sum.count.unsigned_abs();
        let (vima, payshack) = (sum.vima_rows.unsigned_abs(), sum.payshack_rows.unsigned_abs());
        if sum.match_status == "population" {
            (tally.total.vima, tally.total.payshack) = (vima, payshack);
            continue;
        }
        let amounts = by_currency.entry(sum.currency.clone()).or_default();
        let Amounts { matched, amount, status, missing_vima, missing_payshack, duplicate, pending } = amounts;
        let (counted, summed) = match (sum.match_status.as_str(), sum.r#type.as_deref()) {
            ("matched", _) => (&mut tally.matched, matched),
            ("discrepancy", Some("amount")) => (&mut tally.amount_discrepancies, amount),
            ("discrepancy", Some("status")) => (&mut tally.status_discrepancies, status),
            ("missing_vima", _) => (&mut tally.missing_vima, missing_vima),
            ("missing_payshack", _) => (&mut tally.missing_payshack, missing_payshack),
            ("pending", _) => {
                tally.pending_rows.vima += vima;
                tally.pending_rows.payshack += payshack;
                (&mut tally.pending, pending)
            }
            ("duplicate", _) => {
                tally.duplicates.payshack += payshack;
                (&mut tally.duplicates.vima, duplicate)
            }
            ("unmatchable", _) => {
                tally.unmatchable.vima += vima;
                tally.unmatchable.payshack += payshack;
                continue;
            }
            _ => return Err(DbError::impossible("sum of a reconciliation", format!("{sum:?}"))),
        };
        *counted += if sum.match_status == "duplicate" { vima } else { count };
        *summed += sum.amount;
    }
    Ok((tally, by_currency))
}
