//! The table of effects: a row for each time that a job did what it is for.
//!
//! No constraint keeps a second row of a job away. Two things do, and they are what the trials try: the check of the claim,
//! last thing in the same transaction, of a worker that was thought dead; and the progress that is written with it, which
//! tells the next attempt, after a death between the effect and the outcome, that nothing is left to do.

use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims::verify_claim;
use psp_dashboard::domain::job::Claim;
use serde_json::json;
use sqlx::{Executor, PgConnection, PgPool};

/// Makes the table, in a database of a test.
///
/// # Errors
/// [`DbError`] where the database refuses, for it has one already, for example.
pub async fn create_table(pool: &PgPool) -> Result<(), DbError> {
    let table = "CREATE TABLE trial_effects (
        job_id uuid        NOT NULL,
        epoch  bigint      NOT NULL,
        at     timestamptz NOT NULL DEFAULT clock_timestamp())";
    pool.execute(table).await?;
    Ok(())
}

/// Has the effect in one transaction, unless an attempt before had it.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job: there is no effect then.
pub async fn have(pool: &PgPool, claim: &Claim) -> Result<(), DbError> {
    if was_had(pool, claim).await? {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    insert(&mut transaction, claim).await?;
    check(&mut transaction, claim).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether an attempt before had the effect, and died before its outcome was recorded.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn was_had(pool: &PgPool, claim: &Claim) -> Result<bool, DbError> {
    let had = sqlx::query_scalar!(r#"SELECT progress IS NOT NULL AS "had!" FROM jobs WHERE id = $1"#, claim.job_id.0);
    Ok(had.fetch_one(pool).await?)
}

/// Checks the claim, and writes with the effect that it was had.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job.
pub async fn check(connection: &mut PgConnection, claim: &Claim) -> Result<(), DbError> {
    verify_claim(connection, claim, &json!({"had_its_effect": true})).await
}

/// Writes the effect, within the transaction of whoever checks the claim.
///
/// # Errors
/// [`DbError`] where the database refuses.
#[expect(clippy::disallowed_methods, reason = "the table is the tests' own: no migration makes it")]
pub async fn insert(connection: &mut PgConnection, claim: &Claim) -> Result<(), DbError> {
    sqlx::query("INSERT INTO trial_effects (job_id, epoch) VALUES ($1, $2)")
        .bind(claim.job_id.0)
        .bind(claim.epoch)
        .execute(connection)
        .await?;
    Ok(())
}
