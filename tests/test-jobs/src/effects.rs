//! The table of effects: a row for each time that a job had its effect.
//!
//! No constraint prevents a second row of a job. The fencing check does, if a worker was presumed dead and resumes: it runs
//! in the same transaction, just before the commit. If a worker dies between the effect and the record of its outcome, the
//! progress that was stored with the effect does: the next attempt sees that nothing is left to do. The tests check both.

use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims;
use psp_dashboard::domain::job::Claim;
use serde_json::json;
use sqlx::{Executor, PgConnection, PgPool};

/// Creates the table in the database of a test.
pub async fn create_table(pool: &PgPool) -> Result<(), DbError> {
    let table = "CREATE TABLE test_effects (
        job_id uuid        NOT NULL,
        epoch  bigint      NOT NULL,
        at     timestamptz NOT NULL DEFAULT clock_timestamp())";
    pool.execute(table).await?;
    Ok(())
}

/// Has the effect in one transaction, unless an earlier attempt had it.
pub async fn insert_once(pool: &PgPool, claim: &Claim) -> Result<(), DbError> {
    if is_committed(pool, claim).await? {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    insert(&mut transaction, claim).await?;
    verify_claim(&mut transaction, claim).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether an earlier attempt had the effect, and died before its outcome was recorded.
pub async fn is_committed(pool: &PgPool, claim: &Claim) -> Result<bool, DbError> {
    let had = sqlx::query_scalar!(r#"SELECT progress IS NOT NULL AS "had!" FROM jobs WHERE id = $1"#, claim.job_id.0);
    Ok(had.fetch_one(pool).await?)
}

/// Verifies the claim, and stores as the job's progress that it had its effect.
pub async fn verify_claim(connection: &mut PgConnection, claim: &Claim) -> Result<(), DbError> {
    claims::verify_claim(connection, claim, &json!({"had_its_effect": true})).await
}

/// Inserts the effect; the caller verifies the claim in the same transaction.
#[expect(clippy::disallowed_methods, reason = "no migration creates this table, so the query cannot be checked")]
pub async fn insert(connection: &mut PgConnection, claim: &Claim) -> Result<(), DbError> {
    sqlx::query("INSERT INTO test_effects (job_id, epoch) VALUES ($1, $2)")
        .bind(claim.job_id.0)
        .bind(claim.epoch)
        .execute(connection)
        .await?;
    Ok(())
}
