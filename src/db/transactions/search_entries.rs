//! The new entries of the search indexes while many payments are stored.
//!
//! PostgreSQL appends the entries of a new row to a list, which every search reads too. The transaction that makes the list
//! longer than 4 MB merges it into the index, for about a third of what the two search indexes cost. A sync that stores many
//! payments lets the list grow instead, and another connection merges it meanwhile, on another processor. Rejected: a larger
//! limit for everyone, because searches would read a longer list all day; and merging after every few payments, because each
//! merge writes a page for nearly every entry, however few payments it covers.

use sqlx::{PgConnection, PgPool};

use crate::db::DbError;

/// From this many payments in one transaction on, the transaction leaves merging to [`merge`].
pub const DEFERRED_FROM: usize = 500;
/// How many payments [`merge`] should cover: about as many as PostgreSQL merges at once by default.
pub const MERGED_AT_ONCE: u64 = 3_000;

/// Lets the lists of new entries grow to eight times the default, until the database transaction ends. If nothing merges them
/// before, PostgreSQL does it then.
pub(crate) async fn defer_merging(connection: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!(r#"SELECT set_config('gin_pending_list_limit', '32MB', true) AS "limit""#)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Merges all new entries, unless another session is doing that. Returns how many pages they took.
pub async fn merge(pool: &PgPool) -> Result<u64, DbError> {
    let pages = sqlx::query_scalar!("SELECT merge_search_entries()").fetch_one(pool).await?;
    Ok(pages.unwrap_or_default().unsigned_abs())
}
