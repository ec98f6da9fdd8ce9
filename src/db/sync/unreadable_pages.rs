//! The last page of each source that could not be split into records.
//!
//! Such a page is requested again until it can be read, and nothing of it is stored. It is kept so that a person can see what
//! the provider sent. Only the last one: the pages of a provider in trouble differ from request to request.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::domain::transaction::Source;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadablePage {
    pub reason: String,
    /// The page as UTF-8. It may contain personal data and NULs.
    pub raw: Vec<u8>,
    /// The run that failed because of it.
    pub run_id: Uuid,
    pub received_at: DateTime<Utc>,
}

pub async fn upsert(pool: &PgPool, source: Source, page: &UnreadablePage) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO unreadable_pages (source, reason, raw, run_id, received_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (source) DO UPDATE
               SET reason = excluded.reason, raw = excluded.raw, run_id = excluded.run_id,
                   received_at = excluded.received_at"#,
        source.as_str(),
        page.reason.replace('\0', "\u{fffd}"),
        &page.raw,
        page.run_id,
        page.received_at
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// `None` if every page of `source` could be read.
pub async fn find(pool: &PgPool, source: Source) -> Result<Option<UnreadablePage>, DbError> {
    let page = sqlx::query_as!(
        UnreadablePage,
        "SELECT reason, raw, run_id, received_at FROM unreadable_pages WHERE source = $1",
        source.as_str()
    );
    Ok(page.fetch_optional(pool).await?)
}

pub async fn prune(pool: &PgPool, time: DateTime<Utc>) -> Result<u64, DbError> {
    let pruned = sqlx::query!("DELETE FROM unreadable_pages WHERE received_at < $1", time).execute(pool).await?;
    Ok(pruned.rows_affected())
}
