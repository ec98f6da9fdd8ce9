//! Replaces the content of entries, for the erasure of a person. The chain stays valid: it contains the hash of the old content,
//! and the entry of the erasure that of the new one.

use serde_json::Value;
use sqlx::PgConnection;

use super::new_salt;
use crate::db::DbError;

/// The parts of an entry that may contain personal data.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryContent {
    pub sequence: i64,
    pub details: Value,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// New content of an entry, with its salt and its hash.
#[derive(Debug, Clone, PartialEq)]
pub struct NewContent {
    pub content: EntryContent,
    pub salt: [u8; 16],
    pub hash: Vec<u8>,
}

/// The entries whose content contains one of `patterns` (of `LIKE`, in lower case).
pub async fn list_containing(connection: &mut PgConnection, patterns: &[String]) -> Result<Vec<EntryContent>, DbError> {
    let found = sqlx::query_as!(
        EntryContent,
        r#"SELECT sequence, details, before, after FROM audit_log
            WHERE lower(concat_ws(' ', details::text, before::text, after::text)) LIKE ANY($1) ORDER BY sequence"#,
        patterns
    );
    Ok(found.fetch_all(connection).await?)
}

pub async fn hash(connection: &mut PgConnection, content: EntryContent) -> Result<NewContent, DbError> {
    let salt = new_salt();
    let hash = sqlx::query_scalar!(
        r#"SELECT audit_content_hash($1, $2, $3, $4) AS "hash!""#,
        &salt,
        content.details,
        content.before,
        content.after
    );
    let hash = hash.fetch_one(connection).await?;
    Ok(NewContent { content, salt, hash })
}

/// Replaces the content of entries. The last entry of the log must attest all of them.
pub async fn replace(connection: &mut PgConnection, contents: &[NewContent]) -> Result<(), DbError> {
    for NewContent { content, salt, .. } in contents {
        sqlx::query!(
            "UPDATE audit_log SET details = $2, before = $3, after = $4, content_salt = $5 WHERE sequence = $1",
            content.sequence,
            content.details,
            content.before,
            content.after,
            salt
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
