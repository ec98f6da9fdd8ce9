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

/// The entries whose content contains what `pattern` (a regular expression) finds, with `replacement` instead.
///
/// Entries of other transactions wait until this one ends, so that none is missed.
pub async fn list_erased(
    connection: &mut PgConnection,
    pattern: &str,
    replacement: &str,
) -> Result<Vec<NewContent>, DbError> {
    sqlx::query!("SELECT sequence FROM audit_head FOR UPDATE").fetch_one(&mut *connection).await?;
    let contents = sqlx::query_as!(
        EntryContent,
        r#"SELECT sequence, new.details AS "details!", new.before, new.after
             FROM audit_log CROSS JOIN LATERAL (
                      SELECT erase_strings(audit_log.details, $1, $2) AS details,
                             erase_strings(audit_log.before, $1, $2) AS before,
                             erase_strings(audit_log.after, $1, $2) AS after) AS new
            WHERE concat_ws(' ', audit_log.details, audit_log.before, audit_log.after) ~* $1
              AND (audit_log.details, audit_log.before, audit_log.after) IS DISTINCT FROM (new.details, new.before, new.after)
            ORDER BY sequence"#,
        pattern,
        replacement
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut hashed = vec![];
    for content in contents {
        hashed.push(hash(connection, content).await?);
    }
    Ok(hashed)
}

async fn hash(connection: &mut PgConnection, content: EntryContent) -> Result<NewContent, DbError> {
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
