//! Records that could not be read, stored unchanged until a replay or a later sync can read them.
//!
//! The same content is one entry, no matter how often it is received. Raw text is stored as bytes, because PostgreSQL's `text`
//! cannot contain NUL.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::{column, read_name};
use crate::domain::record::Malformed;
use crate::domain::replay::Replay;
use crate::domain::transaction::{Kind, Source};

/// Adds entries for new records, and counts known ones again.
pub async fn upsert(
    connection: &mut PgConnection,
    records: &[&Malformed],
    run_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    for record in records {
        let digest = Sha256::digest(record.raw.as_bytes());
        sqlx::query!(
            r#"INSERT INTO quarantine AS existing
                      (id, source, kind, source_id, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
                   ON CONFLICT (source, kind, raw_hash) DO UPDATE
                  SET source_id = excluded.source_id, reason = excluded.reason, run_id = excluded.run_id,
                      last_seen_at = excluded.last_seen_at, times_seen = existing.times_seen + 1"#,
            Uuid::now_v7(),
            record.source.as_str(),
            record.kind.as_str(),
            record.source_id.as_deref().map(without_nul),
            without_nul(&record.reason),
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

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Deletes the entries of transactions that could be read now, and returns how many there were.
///
/// The `LATERAL` limits every plan to one index lookup per id: a plan from when the table was empty would read all entries of the
/// source for every page, until the next analyze.
pub async fn release(
    connection: &mut PgConnection,
    source: Source,
    kind: Kind,
    source_ids: &[&str],
) -> Result<u64, DbError> {
    if source_ids.is_empty() {
        return Ok(0);
    }
    let released = sqlx::query!(
        r#"DELETE FROM quarantine
            WHERE id = ANY (ARRAY(
                  SELECT entry.id FROM UNNEST($3::text[]) AS readable (source_id)
                   CROSS JOIN LATERAL (
                         SELECT id FROM quarantine
                          WHERE source = $1 AND kind = $2 AND quarantine.source_id = readable.source_id OFFSET 0) AS entry))"#,
        source.as_str(),
        kind.as_str(),
        source_ids as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(released.rows_affected())
}

/// `None` matches every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuarantineFilter {
    pub source: Option<Source>,
    pub kind: Option<Kind>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    pub id: Uuid,
    pub source: Source,
    pub kind: Kind,
    /// The provider's id, if that could be read.
    pub source_id: Option<String>,
    pub reason: String,
    /// The unchanged record, if it was requested.
    pub raw: Option<Vec<u8>>,
    /// The last run that received it.
    pub run_id: Uuid,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub times_seen: u64,
}

struct EntryRow {
    id: Uuid,
    source: String,
    kind: String,
    source_id: Option<String>,
    reason: String,
    raw: Option<Vec<u8>>,
    run_id: Uuid,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    times_seen: i64,
}

impl TryFrom<EntryRow> for QuarantineEntry {
    type Error = DbError;

    fn try_from(row: EntryRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id,
            source: read_name("quarantine.source", row.source, Source::from_name)?,
            kind: read_name("quarantine.kind", row.kind, Kind::from_name)?,
            source_id: row.source_id,
            reason: row.reason,
            raw: row.raw,
            run_id: row.run_id,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            times_seen: row.times_seen.unsigned_abs(),
        })
    }
}

/// Newest first, by `first_seen_at`: `last_seen_at` changes with every sync, and a client that reads page by page would miss the
/// entries that move to the front.
pub async fn list(
    pool: &PgPool,
    filter: &QuarantineFilter,
    with_raw: bool,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<QuarantineEntry>, DbError> {
    let (after_time, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT id, source, kind, source_id, reason, CASE WHEN $3 THEN raw END AS raw, run_id, first_seen_at,
                  last_seen_at, times_seen
             FROM quarantine
            WHERE ($1::text IS NULL OR source = $1) AND ($2::text IS NULL OR kind = $2)
              AND (first_seen_at, id) < (COALESCE($4::timestamptz, 'infinity'), $5::uuid)
            ORDER BY first_seen_at DESC, id DESC
           OFFSET $6 LIMIT $7"#,
        filter.source.map(Source::as_str),
        filter.kind.map(Kind::as_str),
        with_raw,
        after_time,
        after_id,
        window.offset,
        window.limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(QuarantineEntry::try_from).collect()
}

/// The entries with these ids, newest first, without their raw text.
pub(super) async fn read_entries(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<QuarantineEntry>, DbError> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT id, source, kind, source_id, reason, NULL::bytea AS raw, run_id, first_seen_at, last_seen_at, times_seen
             FROM quarantine WHERE id = ANY($1) ORDER BY first_seen_at DESC, id DESC"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(QuarantineEntry::try_from).collect()
}

pub async fn count(pool: &PgPool, filter: &QuarantineFilter) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM quarantine
            WHERE ($1::text IS NULL OR source = $1) AND ($2::text IS NULL OR kind = $2)"#,
        filter.source.map(Source::as_str),
        filter.kind.map(Kind::as_str),
    )
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}

pub async fn exists(connection: &mut PgConnection, id: Uuid) -> Result<bool, DbError> {
    let found = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM quarantine WHERE id = $1) AS "found!""#, id);
    Ok(found.fetch_one(connection).await?)
}

/// The entries of one stream to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayBatch {
    pub source: Source,
    pub kind: Kind,
    /// Ordered by `last_seen_at`.
    pub ids: Vec<Uuid>,
}

pub async fn list_to_replay(pool: &PgPool, replay: Replay) -> Result<Vec<ReplayBatch>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT source, kind, array_agg(id ORDER BY last_seen_at, id) AS "ids!" FROM quarantine
            WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR source = $2)
            GROUP BY source, kind ORDER BY source, kind"#,
        replay.id(),
        replay.source().map(Source::as_str),
    )
    .fetch_all(pool)
    .await?;
    let batches = rows.into_iter().map(|row| {
        Ok(ReplayBatch {
            source: read_name("quarantine.source", row.source, Source::from_name)?,
            kind: read_name("quarantine.kind", row.kind, Kind::from_name)?,
            ids: row.ids,
        })
    });
    batches.collect()
}

/// The raw text of the entries that still exist, in the given order.
pub async fn list_raw(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT quarantine.id, raw FROM UNNEST($1::uuid[]) WITH ORDINALITY AS entry (id, ordinal)
             JOIN quarantine ON quarantine.id = entry.id
            ORDER BY ordinal"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.raw)).collect())
}

pub async fn delete(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM quarantine WHERE id = ANY($1)", ids).execute(connection).await?;
    Ok(())
}

/// Stores why these entries still cannot be read, and their source ids if those can be read now.
pub async fn set_reasons(connection: &mut PgConnection, entries: &[(Uuid, Malformed)]) -> Result<(), DbError> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"UPDATE quarantine SET reason = replayed.reason, source_id = replayed.source_id
             FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS replayed (id, reason, source_id)
            WHERE quarantine.id = replayed.id"#,
        &column(entries, |(id, _)| *id),
        &column(entries, |(_, record)| without_nul(&record.reason)),
        &column(entries, |(_, record)| record.source_id.as_deref().map(without_nul)) as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes at most `limit` entries not received since `time`, and returns them without their raw text.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<Vec<QuarantineEntry>, DbError> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"DELETE FROM quarantine
            WHERE last_seen_at < $1 AND id IN (SELECT id FROM quarantine WHERE last_seen_at < $1 LIMIT $2)
           RETURNING id, source, kind, source_id, reason, NULL::bytea AS raw, run_id, first_seen_at, last_seen_at,
                     times_seen"#,
        time,
        limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(QuarantineEntry::try_from).collect()
}
