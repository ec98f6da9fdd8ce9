//! Finds quarantined records that contain an id.
//!
//! The provider's id has an index. Other ids are only in the raw text, which is searched in the newest entries: there are few, unless
//! a provider is in trouble. Rejected: an index of all ids of the records, because those that are not JSON have none.

use sqlx::PgConnection;
use uuid::Uuid;

use super::quarantine::{QuarantineEntry, read_entries};
use crate::db::DbError;
use crate::db::types::names;
use crate::domain::explanation::quarantine_cause::mentions;
use crate::domain::transaction::Source;

/// How many of the newest entries are searched.
const SEARCHED: i64 = 1_000;
/// More entries explain nothing.
const LIMIT: i64 = 20;

/// Where an id is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchedPart {
    /// The provider's id.
    Identity,
    /// The raw text too. It has personal data, which a caller who must not see it could find by guessing.
    Everything,
}

/// The entries of `sources` that contain `id`, newest first, without their raw text.
pub async fn list_mentioning(
    connection: &mut PgConnection,
    sources: &[Source],
    id: &str,
    part: SearchedPart,
) -> Result<Vec<QuarantineEntry>, DbError> {
    let sources = names(sources, Source::as_str);
    let rows = sqlx::query!(
        r#"WITH newest AS (
               SELECT id, source, source_id, raw FROM quarantine ORDER BY first_seen_at DESC, id DESC LIMIT $3),
           found AS (
               SELECT id, true AS is_identity FROM quarantine
                WHERE source = ANY($1::text[]) AND kind IN ('payin', 'payout') AND source_id = $2
                UNION ALL
               SELECT id, false FROM newest
                WHERE source = ANY($1::text[]) AND source_id IS DISTINCT FROM $2
                  AND position(convert_to($2, 'UTF8') IN raw) > 0)
           SELECT found.id AS "id!", is_identity AS "is_identity!", raw
             FROM found JOIN quarantine USING (id) ORDER BY first_seen_at DESC, id DESC LIMIT $4"#,
        &sources as &[&str],
        id,
        if part == SearchedPart::Everything { SEARCHED } else { 0 },
        LIMIT
    )
    .fetch_all(&mut *connection)
    .await?;
    let found = rows.into_iter().filter(|row| row.is_identity || mentions(&row.raw, id));
    let ids: Vec<Uuid> = found.map(|row| row.id).collect();
    read_entries(connection, &ids).await
}
