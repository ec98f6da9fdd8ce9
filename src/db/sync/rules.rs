//! The generations of the rules that turn a provider's records into payments.

use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::domain::transaction::Source;
use crate::domain::upsert::RulesGeneration;

/// The generation of the rules with this fingerprint; `None` if they were never used.
pub async fn find(pool: &PgPool, source: Source, fingerprint: &str) -> Result<Option<RulesGeneration>, DbError> {
    let generation = sqlx::query_scalar!(
        "SELECT generation FROM rules_generations WHERE source = $1 AND fingerprint = $2",
        source.as_str(),
        fingerprint
    );
    Ok(generation.fetch_optional(pool).await?.map(RulesGeneration))
}

/// Lets no other process register rules until the database transaction ends: two of them must not get the same number.
pub async fn lock(connection: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('rules generations', 0)) AS lock")
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Makes the rules with this fingerprint the newest of `source`, unless they are.
pub async fn upsert_newest(connection: &mut PgConnection, source: Source, fingerprint: &str) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO rules_generations AS existing (source, fingerprint, generation)
           SELECT $1, $2, 1 + coalesce(max(generation), 0) FROM rules_generations WHERE source = $1
               ON CONFLICT (source, fingerprint) DO UPDATE SET generation = excluded.generation
            WHERE existing.generation + 1 < excluded.generation"#,
        source.as_str(),
        fingerprint
    )
    .execute(connection)
    .await?;
    Ok(())
}
