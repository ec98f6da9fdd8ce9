//! The table of effects: a row for each time that a job did what it is for.
//!
//! No constraint keeps a second row of a job away. Only the check of the claim, last thing in the same transaction, does:
//! that is what the trials try.

use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::hold_claim;
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

/// Has the effect, and then checks that the claim holds, in one transaction.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job: there is no effect then.
pub async fn have(pool: &PgPool, claim: &Claim) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    insert(&mut transaction, claim).await?;
    hold_claim(&mut transaction, claim, &json!({})).await?;
    transaction.commit().await?;
    Ok(())
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
