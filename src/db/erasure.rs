//! Finds and removes the personal data of one person, in every table that may contain it.
//!
//! Free text is searched by a regular expression (`domain::erasure`), without an index: an erasure is rare, and reads everything.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::DbError;
use super::types::column;
use crate::domain::erasure::{ERASED_RAW, ERASED_TEXT, ErasedPersons, Identifier};
use crate::domain::job::JobId;
use crate::domain::transaction::Source;

pub async fn get_key(executor: impl PgExecutor<'_>) -> Result<Vec<u8>, DbError> {
    Ok(sqlx::query_scalar!("SELECT key FROM erasure_key").fetch_one(executor).await?)
}

/// Records the identifiers of a person who must not be stored again.
pub async fn insert_identifiers(
    connection: &mut PgConnection,
    key: &[u8],
    identifiers: &[Identifier],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO erased_identifiers (digest, kind, erased_at)
           SELECT digest, kind, $3 FROM UNNEST($1::bytea[], $2::text[]) AS identifier (digest, kind)
               ON CONFLICT (digest) DO NOTHING"#,
        &column(identifiers, |identifier| identifier.digest(key)),
        &column(identifiers, Identifier::kind) as &[&str],
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn list_erased(connection: &mut PgConnection) -> Result<ErasedPersons, DbError> {
    let digests = sqlx::query_scalar!("SELECT digest FROM erased_identifiers").fetch_all(&mut *connection).await?;
    let key = if digests.is_empty() { vec![] } else { get_key(connection).await? };
    Ok(ErasedPersons { key, digests: digests.into_iter().collect::<HashSet<_>>() })
}

/// The payments of a person, by their payer or because the record mentions the person.
pub async fn list_payments(
    pool: &PgPool,
    identifiers: &[Identifier],
    pattern: &str,
) -> Result<Vec<(Uuid, Source, NaiveDate)>, DbError> {
    let values = |kind: &str| -> Vec<String> {
        let of_kind = identifiers.iter().filter(|identifier| identifier.kind() == kind);
        of_kind.map(|identifier| identifier.text().to_owned()).collect()
    };
    let rows = sqlx::query!(
        r#"SELECT id, source, (created_at AT TIME ZONE 'UTC')::date AS "day!" FROM transactions
            WHERE erased_at IS NULL
              AND (lower(user_email) = ANY($1) OR right(regexp_replace(user_phone, '\D', '', 'g'), 10) = ANY($2)
                   OR user_id = ANY($3) OR raw_data::text ~* $4)"#,
        &values("email"),
        &values("phone"),
        &values("user_id"),
        pattern
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((row.id, row.source.try_into()?, row.day))).collect()
}

/// Removes the payers of payments. Their sources must be locked.
pub async fn erase_payments(connection: &mut PgConnection, ids: &[Uuid], now: DateTime<Utc>) -> Result<u64, DbError> {
    let erased = sqlx::query!(
        r#"UPDATE transactions
              SET user_id = NULL, user_email = NULL, user_phone = NULL, user_name = NULL, raw_data = $2::text::json,
                  erased_at = $3
            WHERE id = ANY($1)"#,
        ids,
        ERASED_RAW,
        now
    );
    Ok(erased.execute(connection).await?.rows_affected())
}

/// How many rows of each table contain the person in free text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct TextCounts {
    pub quarantined_records: i64,
    pub unreadable_pages: i64,
    pub discrepancies: i64,
    pub discrepancy_changes: i64,
    pub jobs: i64,
    pub sync_runs: i64,
    pub webhook_deliveries: i64,
    pub notes_of_alerts: i64,
    pub orders_of_exports: i64,
    pub saved_views: i64,
    pub audit_entries: i64,
}

pub async fn count_texts(executor: impl PgExecutor<'_>, pattern: &str) -> Result<TextCounts, DbError> {
    let counts = sqlx::query_as!(
        TextCounts,
        r#"SELECT (SELECT count(*) FROM quarantine WHERE encode(raw, 'escape') ~* $1 OR reason ~* $1)
                      AS "quarantined_records!",
                  (SELECT count(*) FROM unreadable_pages WHERE encode(raw, 'escape') ~* $1 OR reason ~* $1)
                      AS "unreadable_pages!",
                  (SELECT count(*) FROM discrepancies WHERE concat_ws(' ', note, assignee) ~* $1) AS "discrepancies!",
                  (SELECT count(*) FROM discrepancy_changes
                    WHERE concat_ws(' ', note, from_assignee, to_assignee) ~* $1) AS "discrepancy_changes!",
                  (SELECT count(*) FROM jobs WHERE error ~* $1)
                    + (SELECT count(*) FROM job_attempts WHERE error ~* $1) AS "jobs!",
                  (SELECT count(*) FROM sync_runs WHERE error ~* $1) AS "sync_runs!",
                  (SELECT count(*) FROM webhook_deliveries WHERE concat_ws(' ', payload, response) ~* $1)
                      AS "webhook_deliveries!",
                  (SELECT count(*) FROM alerts WHERE note ~* $1) AS "notes_of_alerts!",
                  (SELECT count(*) FROM exports WHERE wanted::text ~* $1)
                    + (SELECT count(*) FROM report_schedules WHERE concat_ws(' ', name, export_request, export_spec, recipients) ~* $1) AS "orders_of_exports!",
                  (SELECT count(*) FROM saved_views WHERE concat_ws(' ', name, filters) ~* $1) AS "saved_views!",
                  (SELECT count(*) FROM audit_log
                    WHERE concat_ws(' ', details, before, after) ~* $1
                      AND (details, before, after) IS DISTINCT FROM
                          (erase_strings(details, $1, $2), erase_strings(before, $1, $2), erase_strings(after, $1, $2)))
                      AS "audit_entries!""#,
        pattern,
        ERASED_TEXT
    );
    Ok(counts.fetch_one(executor).await?)
}

/// Removes the person from the text of every table except the audit log.
pub async fn erase_texts(connection: &mut PgConnection, pattern: &str) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE quarantine
              SET raw = CASE WHEN encode(raw, 'escape') ~* $1 THEN convert_to($2::text, 'UTF8') ELSE raw END,
                  reason = regexp_replace(reason, $1, $3, 'gi')
            WHERE encode(raw, 'escape') ~* $1 OR reason ~* $1"#,
        pattern,
        ERASED_RAW,
        ERASED_TEXT
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM unreadable_pages WHERE encode(raw, 'escape') ~* $1 OR reason ~* $1", pattern)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        r#"WITH erased_changes AS (
               UPDATE discrepancy_changes
                  SET note = regexp_replace(note, $1, $2, 'gi'),
                      from_assignee = regexp_replace(from_assignee, $1, $2, 'gi'),
                      to_assignee = regexp_replace(to_assignee, $1, $2, 'gi')
                WHERE concat_ws(' ', note, from_assignee, to_assignee) ~* $1),
           erased_attempts AS (
               UPDATE job_attempts SET error = regexp_replace(error, $1, $2, 'gi') WHERE error ~* $1),
           erased_jobs AS (UPDATE jobs SET error = regexp_replace(error, $1, $2, 'gi') WHERE error ~* $1),
           erased_runs AS (UPDATE sync_runs SET error = regexp_replace(error, $1, $2, 'gi') WHERE error ~* $1),
           erased_deliveries AS (
               UPDATE webhook_deliveries
                  SET payload = regexp_replace(payload, $1, $2, 'gi'), response = regexp_replace(response, $1, $2, 'gi')
                WHERE concat_ws(' ', payload, response) ~* $1),
           erased_reports AS (UPDATE report_runs SET error = regexp_replace(error, $1, $2, 'gi') WHERE error ~* $1),
           erased_bulk_actions AS (
               UPDATE bulk_actions
                  SET filter = erase_strings(filter, $1, $2), changes = erase_strings(changes, $1, $2)
                WHERE concat_ws(' ', filter, changes) ~* $1),
           erased_alerts AS (UPDATE alerts SET note = regexp_replace(note, $1, $2, 'gi') WHERE note ~* $1)
           UPDATE discrepancies
              SET note = regexp_replace(note, $1, $2, 'gi'), assignee = regexp_replace(assignee, $1, $2, 'gi')
            WHERE concat_ws(' ', note, assignee) ~* $1"#,
        pattern,
        ERASED_TEXT
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An export whose file may contain the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredExport {
    pub id: Uuid,
    pub job_id: JobId,
    /// `None` if its job has not finished.
    pub stored_as: Option<String>,
}

/// The exports that have a file or are still to get one.
pub async fn list_exports(executor: impl PgExecutor<'_>) -> Result<Vec<StoredExport>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT exports.id, job_id, stored_as FROM exports LEFT JOIN jobs ON jobs.id = job_id
            WHERE stored_as IS NOT NULL OR jobs.state IN ('queued', 'scheduled', 'retrying', 'running')"#
    );
    let rows = rows.fetch_all(executor).await?;
    let exports =
        rows.into_iter().map(|row| StoredExport { id: row.id, job_id: JobId(row.job_id), stored_as: row.stored_as });
    Ok(exports.collect())
}

/// Removes the orders and the schedules of exports, and the views, whose filters name the person.
pub async fn delete_orders(connection: &mut PgConnection, pattern: &str) -> Result<(), DbError> {
    sqlx::query!(
        r#"WITH schedules AS (
               DELETE FROM report_schedules WHERE concat_ws(' ', name, export_request, export_spec, recipients) ~* $1),
           views AS (DELETE FROM saved_views WHERE concat_ws(' ', name, filters) ~* $1)
           DELETE FROM exports WHERE wanted::text ~* $1"#,
        pattern
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The days of payments, by source.
#[must_use]
pub fn days_of(payments: &[(Uuid, Source, NaiveDate)], source: Source) -> BTreeSet<NaiveDate> {
    payments.iter().filter(|(_, of, _)| *of == source).map(|(.., day)| *day).collect()
}
