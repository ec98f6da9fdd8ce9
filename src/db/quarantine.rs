//! Records that could not be read, kept to the letter until somebody or a fix upstream gets them out.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::DbError;
use crate::domain::record::Malformed;
use crate::domain::transaction::Source;

/// Keeps the records. One that is known already is counted once more, however often it comes.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn upsert(
    connection: &mut PgConnection,
    records: &[&Malformed],
    run_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    for record in records {
        let digest = Sha256::digest(record.raw.as_bytes());
        sqlx::query!(
            r#"INSERT INTO quarantine AS kept
                      (id, source, kind, source_id, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
                   ON CONFLICT (source, kind, raw_hash) DO UPDATE
                  SET reason = excluded.reason, run_id = excluded.run_id, last_seen_at = excluded.last_seen_at,
                      times_seen = kept.times_seen + 1"#,
            Uuid::now_v7(),
            record.source.as_str(),
            record.kind.as_str(),
            record.source_id,
            record.reason,
            record.raw.as_bytes(),
            &digest[..],
            run_id,
            now,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// How many records of `source` are kept here.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(pool: &PgPool, source: Source) -> Result<u64, DbError> {
    let count =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM quarantine WHERE source = $1"#, source.as_str())
            .fetch_one(pool)
            .await?;
    Ok(count.unsigned_abs())
}
