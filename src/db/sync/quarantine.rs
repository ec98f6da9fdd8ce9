//! Records that could not be read, kept to the letter until somebody or a fix upstream gets them out.
//!
//! The same content is one entry, however often it comes. Raw text is kept as bytes, for text of `PostgreSQL` holds no NUL.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::read_name;
use crate::domain::record::Malformed;
use crate::domain::replay::Replay;
use crate::domain::transaction::{Kind, Source};

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
                  SET source_id = excluded.source_id, reason = excluded.reason, run_id = excluded.run_id,
                      last_seen_at = excluded.last_seen_at, times_seen = kept.times_seen + 1"#,
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

/// Lets out the records of these payments, which could be read by now. Says how many there were.
///
/// One look into the index for each, said so that no plan can read more: a plan that was made while the table was empty
/// would read all of the source's entries with every page, until the table is next analysed.
///
/// # Errors
/// [`DbError`] where the database refuses.
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
                  SELECT kept.id FROM UNNEST($3::text[]) AS readable (source_id)
                   CROSS JOIN LATERAL (
                         SELECT id FROM quarantine
                          WHERE source = $1 AND kind = $2 AND quarantine.source_id = readable.source_id OFFSET 0) AS kept))"#,
        source.as_str(),
        kind.as_str(),
        source_ids as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(released.rows_affected())
}

/// Which records are listed; what is not said stands for every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuarantineFilter {
    /// Of this source.
    pub source: Option<Source>,
    /// Pay-ins or pay-outs.
    pub kind: Option<Kind>,
}

/// A record that is kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// Its id here.
    pub id: Uuid,
    /// Whose record it is.
    pub source: Source,
    /// The list it came from.
    pub kind: Kind,
    /// The provider's id, where at least that could be read.
    pub source_id: Option<String>,
    /// Why it could not be read.
    pub reason: String,
    /// The record to the letter, where it was asked for.
    pub raw: Option<Vec<u8>>,
    /// The run that met it last.
    pub run_id: Uuid,
    /// When it came first.
    pub first_seen_at: DateTime<Utc>,
    /// When it came last.
    pub last_seen_at: DateTime<Utc>,
    /// How often it came.
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

/// Entries, those that came last for the first time first; `offset` of them are passed over.
///
/// By the first time and not by the last: that moves with every sync, and whoever walks the listing meanwhile would miss
/// what has moved to its head.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
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

/// How many entries there are.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
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

/// Whether there is an entry of this id.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn exists(connection: &mut PgConnection, id: Uuid) -> Result<bool, DbError> {
    let found = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM quarantine WHERE id = $1) AS "found!""#, id);
    Ok(found.fetch_one(connection).await?)
}

/// Entries that came from one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayBatch {
    /// Whose list it is.
    pub source: Source,
    /// What it is made of.
    pub kind: Kind,
    /// Their ids, in the order in which they came last.
    pub ids: Vec<Uuid>,
}

/// Which entries are to be read again, list by list.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
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
    let of_list = rows.into_iter().map(|row| {
        Ok(ReplayBatch {
            source: read_name("quarantine.source", row.source, Source::from_name)?,
            kind: read_name("quarantine.kind", row.kind, Kind::from_name)?,
            ids: row.ids,
        })
    });
    of_list.collect()
}

/// The raw text of those of these entries that are still here, in the order given.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list_raw(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT quarantine.id, raw FROM UNNEST($1::uuid[]) WITH ORDINALITY AS wanted (id, place)
             JOIN quarantine ON quarantine.id = wanted.id
            ORDER BY place"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.raw)).collect())
}

/// Takes these entries out.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn delete(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM quarantine WHERE id = ANY($1)", ids).execute(connection).await?;
    Ok(())
}

/// Notes why these entries cannot be read as of now, and what their payments are if that can be read by now.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn set_reasons(connection: &mut PgConnection, entries: &[(Uuid, Malformed)]) -> Result<(), DbError> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"UPDATE quarantine SET reason = told.reason, source_id = told.source_id
             FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS told (id, reason, source_id)
            WHERE quarantine.id = told.id"#,
        &entries.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &entries.iter().map(|(_, record)| without_nul(&record.reason)).collect::<Vec<_>>(),
        &entries.iter().map(|(_, record)| record.source_id.as_deref().map(without_nul)).collect::<Vec<_>>()
            as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes out the entries that did not come since `time`, and says which they were, without their raw text.
///
/// # Errors
/// [`DbError`] where the database refuses, or holds an impossible row.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>) -> Result<Vec<QuarantineEntry>, DbError> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"DELETE FROM quarantine WHERE last_seen_at < $1
           RETURNING id, source, kind, source_id, reason, NULL::bytea AS raw, run_id, first_seen_at, last_seen_at,
                     times_seen"#,
        time
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(QuarantineEntry::try_from).collect()
}
