//! Reads the audit log as a chain, to verify it.
//!
//! The hashes are computed again by the reader: a function of the database could have been replaced by anyone who changed the
//! entries.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use serde_json::Value;

use crate::db::DbError;
use crate::db::snapshot::Snapshot;

/// A position in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    pub sequence: i64,
    pub hash: Vec<u8>,
}

/// An entry as its hashes cover it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainLink {
    pub sequence: i64,
    pub previous_hash: Vec<u8>,
    pub hash: Vec<u8>,
    pub content_hash: Vec<u8>,
    /// The text whose hash, after the previous hash, is `hash`.
    pub entry: String,
    /// The text whose hash is `content_hash`, unless the content was erased.
    pub content: String,
    /// For an erasure: the sequence of each changed entry, with the hash of its new content.
    pub attests: Option<Value>,
}

/// The last entry, according to the row that every new entry starts from.
pub async fn head(snapshot: &mut Snapshot) -> Result<ChainHead, DbError> {
    let head = sqlx::query_as!(ChainHead, "SELECT sequence, hash FROM audit_head");
    Ok(head.fetch_one(snapshot.connection()?).await?)
}

/// The last removed entry; `None` if none was removed.
pub async fn last_anchor(snapshot: &mut Snapshot) -> Result<Option<ChainHead>, DbError> {
    let anchor = sqlx::query_as!(ChainHead, "SELECT sequence, hash FROM audit_anchors ORDER BY sequence DESC LIMIT 1");
    Ok(anchor.fetch_optional(snapshot.connection()?).await?)
}

/// The entries that erasures of content refer to.
pub async fn list_attestations(snapshot: &mut Snapshot) -> Result<Vec<(i64, Value)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT sequence, attests AS "attests!" FROM audit_log WHERE attests IS NOT NULL ORDER BY sequence"#
    );
    let rows = rows.fetch_all(snapshot.connection()?).await?;
    Ok(rows.into_iter().map(|row| (row.sequence, row.attests)).collect())
}

/// Every entry, in the order of the chain.
pub fn links(snapshot: &mut Snapshot) -> Result<BoxStream<'_, Result<ChainLink, DbError>>, DbError> {
    let links = sqlx::query_as!(
        ChainLink,
        r#"SELECT sequence, previous_hash, hash, content_hash, attests,
                  jsonb_build_array(
                      sequence, id, refers_to, (extract(epoch FROM recorded_at) * 1000000)::bigint, key_id, key_name,
                      role, address, operation, request_id, client_request_id, outcome, row_count, attests,
                      encode(content_hash, 'hex'))::text AS "entry!",
                  jsonb_build_array(encode(content_salt, 'hex'), details, before, after)::text AS "content!"
             FROM audit_log ORDER BY sequence"#
    );
    Ok(links.fetch(snapshot.connection()?).map_err(DbError::from).boxed())
}
