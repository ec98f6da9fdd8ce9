//! Webhooks: the endpoints. [`deliveries`] are what they get, [`fan_out`] turns events into deliveries.

pub mod deliveries;
pub mod fan_out;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::DbError;
use super::page::{PageWindow, TimeCursor};
use super::types::read_name;
use crate::domain::entity_tag::EntityTag;
use crate::domain::subscription::Subscription;
use crate::domain::transaction::Source;

/// What a person sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookProperties {
    pub url: String,
    pub description: String,
    pub events: Vec<String>,
    /// `None`: all, also those of later releases.
    pub sources: Option<Vec<Source>>,
    pub enabled: bool,
}

/// An endpoint, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: Uuid,
    pub properties: WebhookProperties,
    /// Why it was disabled, if no person did it.
    pub disabled_reason: Option<String>,
    pub disabled_at: Option<DateTime<Utc>>,
    /// Until when the replaced secret signs.
    pub previous_secret_until: Option<DateTime<Utc>>,
    /// The first failed attempt since the last success.
    pub failing_since: Option<DateTime<Utc>>,
    pub last_attempt_at: Option<DateTime<Utc>>,
    pub last_delivered_at: Option<DateTime<Utc>>,
    /// How many deliveries wait.
    pub pending: u64,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub updated_at: DateTime<Utc>,
    pub version: i64,
}

impl Webhook {
    #[must_use]
    pub fn etag(&self) -> EntityTag {
        EntityTag::of_version(self.version)
    }
}

struct WebhookRow {
    id: Uuid,
    url: String,
    description: String,
    events: Vec<String>,
    sources: Option<Vec<String>>,
    enabled: bool,
    disabled_reason: Option<String>,
    disabled_at: Option<DateTime<Utc>>,
    previous_secret_until: Option<DateTime<Utc>>,
    failing_since: Option<DateTime<Utc>>,
    last_attempt_at: Option<DateTime<Utc>>,
    last_delivered_at: Option<DateTime<Utc>>,
    pending: i64,
    created_at: DateTime<Utc>,
    created_by: String,
    updated_at: DateTime<Utc>,
    version: i64,
}

impl TryFrom<WebhookRow> for Webhook {
    type Error = DbError;

    fn try_from(row: WebhookRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id,
            properties: WebhookProperties {
                url: row.url,
                description: row.description,
                events: row.events,
                sources: sources(row.sources)?,
                enabled: row.enabled,
            },
            disabled_reason: row.disabled_reason,
            disabled_at: row.disabled_at,
            previous_secret_until: row.previous_secret_until,
            failing_since: row.failing_since,
            last_attempt_at: row.last_attempt_at,
            last_delivered_at: row.last_delivered_at,
            pending: row.pending.unsigned_abs(),
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            version: row.version,
        })
    }
}

fn sources(names: Option<Vec<String>>) -> Result<Option<Vec<Source>>, DbError> {
    let read = |name| read_name("webhooks.sources", name, Source::from_name);
    names.map(|names| names.into_iter().map(read).collect()).transpose()
}

fn source_names(properties: &WebhookProperties) -> Option<Vec<String>> {
    properties.sources.as_ref().map(|sources| sources.iter().map(|source| source.as_str().to_owned()).collect())
}

impl WebhookProperties {
    #[must_use]
    pub fn subscription(&self) -> Subscription {
        let sources = self.sources.clone().unwrap_or_else(|| Source::ALL.to_vec());
        Subscription { events: self.events.clone(), sources }
    }
}

/// Creates an endpoint, which gets the events that are recorded from now on.
pub async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    properties: &WebhookProperties,
    sealed_secret: &[u8],
    created_by: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let sources = source_names(properties);
    sqlx::query!(
        r#"INSERT INTO webhooks (id, url, description, events, sources, enabled, disabled_at, secret, last_event_id, created_at,
                                 created_by, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN NOT $6 THEN $9::timestamptz END, $7,
                   (SELECT COALESCE(max(id), 0) FROM events), $9, $8, $9)"#,
        id,
        properties.url,
        properties.description,
        &properties.events,
        sources.as_deref(),
        properties.enabled,
        sealed_secret,
        created_by,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Webhook>, DbError> {
    let row = sqlx::query_as!(
        WebhookRow,
        r#"SELECT id, url, description, events, sources, enabled, disabled_reason, disabled_at, previous_secret_until,
                  failing_since, last_attempt_at, last_delivered_at, created_at, created_by, updated_at, version,
                  (SELECT count(*) FROM webhook_deliveries WHERE webhook_id = webhooks.id AND state = 'pending' AND ordered)
                      AS "pending!"
             FROM webhooks WHERE id = $1"#,
        id
    )
    .fetch_optional(executor)
    .await?;
    row.map(Webhook::try_from).transpose()
}

/// [`find`], and locks the row until the end of the transaction.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Webhook>, DbError> {
    if lock_row(connection, id).await? { find(connection, id).await } else { Ok(None) }
}

/// Locks the row until the end of the transaction, and returns whether it exists. Before any of its deliveries is changed, so that
/// no two transactions wait for each other.
pub async fn lock_row(connection: &mut PgConnection, id: Uuid) -> Result<bool, DbError> {
    let row = sqlx::query!("SELECT id FROM webhooks WHERE id = $1 FOR UPDATE", id).fetch_optional(connection).await?;
    Ok(row.is_some())
}

/// Newest first.
pub async fn list(pool: &PgPool, window: &PageWindow<TimeCursor>) -> Result<Vec<Webhook>, DbError> {
    let (after_time, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        WebhookRow,
        r#"SELECT id, url, description, events, sources, enabled, disabled_reason, disabled_at, previous_secret_until,
                  failing_since, last_attempt_at, last_delivered_at, created_at, created_by, updated_at, version,
                  (SELECT count(*) FROM webhook_deliveries WHERE webhook_id = webhooks.id AND state = 'pending' AND ordered)
                      AS "pending!"
             FROM webhooks
            WHERE (created_at, id) < (COALESCE($1::timestamptz, 'infinity'), $2::uuid)
            ORDER BY created_at DESC, id DESC
           OFFSET $3 LIMIT $4"#,
        after_time,
        after_id,
        window.offset,
        window.limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Webhook::try_from).collect()
}

/// The current secret of each, encrypted.
pub async fn list_sealed_secrets(pool: &PgPool) -> Result<Vec<(Uuid, Vec<u8>)>, DbError> {
    let rows = sqlx::query!("SELECT id, secret FROM webhooks").fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.secret)).collect())
}

pub async fn count(executor: impl PgExecutor<'_>) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM webhooks"#).fetch_one(executor).await?;
    Ok(count.unsigned_abs())
}

/// Enabling it lets it start without failures: what waits is due at once.
pub async fn update(
    connection: &mut PgConnection,
    id: Uuid,
    properties: &WebhookProperties,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let sources = source_names(properties);
    sqlx::query!(
        r#"WITH due AS (
               UPDATE webhook_deliveries SET next_attempt_at = NULL
                WHERE webhook_id = $1 AND state = 'pending' AND next_attempt_at IS NOT NULL AND $6
                  AND NOT (SELECT enabled FROM webhooks WHERE id = $1))
           UPDATE webhooks
              SET url = $2, description = $3, events = $4, sources = $5, enabled = $6, updated_at = $7,
                  disabled_at = CASE WHEN $6 THEN NULL ELSE COALESCE(disabled_at, $7) END,
                  disabled_reason = CASE WHEN $6 THEN NULL ELSE disabled_reason END,
                  failing_since = CASE WHEN enabled = $6 THEN failing_since END
            WHERE id = $1"#,
        id,
        properties.url,
        properties.description,
        &properties.events,
        sources.as_deref(),
        properties.enabled,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes an endpoint with its deliveries.
pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM webhooks WHERE id = $1", id).execute(connection).await?;
    Ok(())
}

/// Replaces the secret; the replaced one signs until `previous_until`.
pub async fn set_secret(
    connection: &mut PgConnection,
    id: Uuid,
    sealed_secret: &[u8],
    previous_until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE webhooks
              SET previous_secret = secret, previous_secret_until = $3, secret = $2, updated_at = $4
            WHERE id = $1"#,
        id,
        sealed_secret,
        previous_until,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn record_success(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE webhooks SET failing_since = NULL, last_attempt_at = $2, last_delivered_at = $2 WHERE id = $1",
        id,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns since when every attempt has failed; `None` if the endpoint was deleted.
pub async fn record_failure(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbError> {
    let since = sqlx::query_scalar!(
        r#"UPDATE webhooks SET failing_since = COALESCE(failing_since, $2), last_attempt_at = $2 WHERE id = $1
           RETURNING failing_since AS "failing_since!""#,
        id,
        now
    );
    Ok(since.fetch_optional(connection).await?)
}

/// Returns whether it was enabled.
pub async fn disable(
    connection: &mut PgConnection,
    id: Uuid,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let disabled = sqlx::query!(
        "UPDATE webhooks SET enabled = false, disabled_reason = $2, disabled_at = $3 WHERE id = $1 AND enabled",
        id,
        reason,
        now
    )
    .execute(connection)
    .await?;
    Ok(disabled.rows_affected() == 1)
}

/// The endpoints that something is due for and that no job delivers to, the longest unattended first: as many as keep the number
/// of unfinished jobs of `kind` within `limit`.
pub async fn list_due(pool: &PgPool, kind: &str, limit: i64, now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    let due = sqlx::query_scalar!(
        r#"WITH live AS (
               SELECT args ->> 'webhook_id' AS webhook_id FROM jobs
                WHERE kind = $1 AND unique_key IS NOT NULL AND state IN ('queued', 'scheduled', 'running', 'retrying')
                  AND NOT args ? 'delivery_id')
           SELECT webhooks.id
             FROM webhooks
                  CROSS JOIN LATERAL (
                      SELECT next_attempt_at FROM webhook_deliveries
                       WHERE webhook_id = webhooks.id AND state = 'pending' AND ordered
                       ORDER BY position LIMIT 1) AS head
            WHERE enabled AND (next_attempt_at IS NULL OR next_attempt_at <= $3)
              AND NOT EXISTS (SELECT 1 FROM live WHERE live.webhook_id = webhooks.id::text)
            ORDER BY last_attempt_at NULLS FIRST, webhooks.id
            LIMIT GREATEST($2::bigint - (SELECT count(*) FROM live), 0)"#,
        kind,
        limit,
        now
    );
    Ok(due.fetch_all(pool).await?)
}
