//! Deliveries: the messages of each endpoint, those that wait and those that are over.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::{column, read_name};
use crate::domain::webhook::DeliveryState;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    pub id: Uuid,
    pub webhook_id: Uuid,
    /// The event that it is about.
    pub event_id: Option<i64>,
    pub kind: String,
    pub payload: String,
    /// Whether it waits for the messages before it, and is retried.
    pub ordered: bool,
}

/// A delivery that is due, with what is needed to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub payload: String,
    pub ordered: bool,
    /// Attempts so far.
    pub attempts: u32,
    pub url: String,
    pub sealed_secret: Vec<u8>,
    /// The replaced secret, while it still signs.
    pub sealed_previous_secret: Option<Vec<u8>>,
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    pub state: DeliveryState,
    /// If it is pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub attempted_at: DateTime<Utc>,
    pub duration_ms: i64,
    pub status_code: Option<i32>,
    pub error: Option<String>,
    /// The beginning of the response.
    pub response: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: Uuid,
    pub event_id: Option<i64>,
    pub kind: String,
    pub payload: String,
    pub state: DeliveryState,
    pub attempts: u32,
    pub created_at: DateTime<Utc>,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub attempted_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i64>,
    pub status_code: Option<i32>,
    pub error: Option<String>,
    pub response: Option<String>,
}

impl Delivery {
    #[must_use]
    pub fn cursor(&self) -> TimeCursor {
        (self.created_at, self.id)
    }
}

struct DeliveryRow {
    id: Uuid,
    event_id: Option<i64>,
    kind: String,
    payload: String,
    state: String,
    attempts: i32,
    created_at: DateTime<Utc>,
    next_attempt_at: Option<DateTime<Utc>>,
    attempted_at: Option<DateTime<Utc>>,
    duration_ms: Option<i64>,
    status_code: Option<i32>,
    error: Option<String>,
    response: Option<String>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = DbError;

    fn try_from(row: DeliveryRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id,
            event_id: row.event_id,
            kind: row.kind,
            payload: row.payload,
            state: read_name("webhook_deliveries.state", row.state, DeliveryState::from_name)?,
            attempts: row.attempts.unsigned_abs(),
            created_at: row.created_at,
            next_attempt_at: row.next_attempt_at,
            attempted_at: row.attempted_at,
            duration_ms: row.duration_ms,
            status_code: row.status_code,
            error: row.error,
            response: row.response,
        })
    }
}

/// Appends deliveries in this order. A message that an endpoint has already (of the same event) is skipped.
pub async fn insert(
    connection: &mut PgConnection,
    deliveries: &[NewDelivery],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"INSERT INTO webhook_deliveries (id, webhook_id, event_id, type, payload, ordered, state, created_at)
           SELECT id, webhook_id, event_id, type, payload, ordered, 'pending', $7
             FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bool[]) WITH ORDINALITY
                      AS new (id, webhook_id, event_id, type, payload, ordered, ordinal)
            ORDER BY ordinal
               ON CONFLICT (webhook_id, event_id) DO NOTHING"#,
        &column(deliveries, |new| new.id),
        &column(deliveries, |new| new.webhook_id),
        &column(deliveries, |new| new.event_id) as &[Option<i64>],
        &column(deliveries, |new| new.kind.clone()),
        &column(deliveries, |new| new.payload.clone()),
        &column(deliveries, |new| new.ordered),
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The oldest waiting message of an enabled endpoint, if it is due.
pub async fn find_due(pool: &PgPool, webhook_id: Uuid, now: DateTime<Utc>) -> Result<Option<DueDelivery>, DbError> {
    let row = sqlx::query!(
        r#"SELECT head.id, payload, attempts, url, secret,
                  CASE WHEN previous_secret_until > $2 THEN previous_secret END AS previous_secret
             FROM webhooks
                  CROSS JOIN LATERAL (
                      SELECT id, payload, attempts, next_attempt_at FROM webhook_deliveries
                       WHERE webhook_id = webhooks.id AND state = 'pending' AND ordered
                       ORDER BY position LIMIT 1) AS head
            WHERE webhooks.id = $1 AND enabled AND (next_attempt_at IS NULL OR next_attempt_at <= $2)"#,
        webhook_id,
        now
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| DueDelivery {
        id: row.id,
        webhook_id,
        payload: row.payload,
        ordered: true,
        attempts: row.attempts.unsigned_abs(),
        url: row.url,
        sealed_secret: row.secret,
        sealed_previous_secret: row.previous_secret,
    }))
}

/// A delivery that does not wait for others and was not made yet. The endpoint may be disabled.
pub async fn find_unordered(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<Option<DueDelivery>, DbError> {
    let row = sqlx::query!(
        r#"SELECT webhook_id, payload, attempts, url, secret,
                  CASE WHEN previous_secret_until > $2 THEN previous_secret END AS previous_secret
             FROM webhook_deliveries JOIN webhooks ON webhooks.id = webhook_id
            WHERE webhook_deliveries.id = $1 AND state = 'pending' AND NOT ordered"#,
        id,
        now
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| DueDelivery {
        id,
        webhook_id: row.webhook_id,
        payload: row.payload,
        ordered: false,
        attempts: row.attempts.unsigned_abs(),
        url: row.url,
        sealed_secret: row.secret,
        sealed_previous_secret: row.previous_secret,
    }))
}

/// Returns whether it was still waiting.
pub async fn record_attempt(connection: &mut PgConnection, id: Uuid, attempt: &AttemptRecord) -> Result<bool, DbError> {
    let recorded = sqlx::query!(
        r#"UPDATE webhook_deliveries
              SET state = $2, attempts = attempts + 1, next_attempt_at = $3, attempted_at = $4, duration_ms = $5,
                  status_code = $6, error = $7, response = $8, finished_at = CASE WHEN $2 <> 'pending' THEN $4::timestamptz END
            WHERE id = $1 AND state = 'pending'"#,
        id,
        attempt.state.as_str(),
        attempt.next_attempt_at,
        attempt.attempted_at,
        attempt.duration_ms,
        attempt.status_code,
        attempt.error,
        attempt.response
    )
    .execute(connection)
    .await?;
    Ok(recorded.rows_affected() == 1)
}

/// `None` matches every value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub kind: Option<String>,
}

/// Newest first.
pub async fn list(
    pool: &PgPool,
    webhook_id: Uuid,
    filter: &DeliveryFilter,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<Delivery>, DbError> {
    let (after_time, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        DeliveryRow,
        r#"SELECT id, event_id, type AS kind, payload, state, attempts, created_at, next_attempt_at, attempted_at, duration_ms,
                  status_code, error, response
             FROM webhook_deliveries
            WHERE webhook_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR type = $3)
              AND (created_at, id) < (COALESCE($4::timestamptz, 'infinity'), $5::uuid)
            ORDER BY created_at DESC, id DESC
           OFFSET $6 LIMIT $7"#,
        webhook_id,
        filter.state.map(DeliveryState::as_str),
        filter.kind,
        after_time,
        after_id,
        window.offset,
        window.limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Delivery::try_from).collect()
}

pub async fn count(pool: &PgPool, webhook_id: Uuid, filter: &DeliveryFilter) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM webhook_deliveries
            WHERE webhook_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR type = $3)"#,
        webhook_id,
        filter.state.map(DeliveryState::as_str),
        filter.kind
    );
    Ok(count.fetch_one(pool).await?.unsigned_abs())
}

pub async fn find(executor: impl PgExecutor<'_>, webhook_id: Uuid, id: Uuid) -> Result<Option<Delivery>, DbError> {
    let row = sqlx::query_as!(
        DeliveryRow,
        r#"SELECT id, event_id, type AS kind, payload, state, attempts, created_at, next_attempt_at, attempted_at, duration_ms,
                  status_code, error, response
             FROM webhook_deliveries WHERE webhook_id = $1 AND id = $2"#,
        webhook_id,
        id
    )
    .fetch_optional(executor)
    .await?;
    row.map(Delivery::try_from).transpose()
}

/// Makes finished deliveries wait again, in their old places: `ids`, or those that failed since a time. Tests are left out.
/// Returns how many.
pub async fn replay(connection: &mut PgConnection, webhook_id: Uuid, replayed: Replayed) -> Result<u64, DbError> {
    let (id, failed_since) = match replayed {
        Replayed::One(id) => (Some(id), None),
        Replayed::FailedSince(time) => (None, Some(time)),
    };
    let replayed = sqlx::query!(
        r#"UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_attempt_at = NULL, finished_at = NULL
            WHERE webhook_id = $1 AND ordered AND state <> 'pending'
              AND (id = $2 OR state = 'failed' AND finished_at >= $3)"#,
        webhook_id,
        id,
        failed_since
    )
    .execute(connection)
    .await?;
    Ok(replayed.rows_affected())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    One(Uuid),
    FailedSince(DateTime<Utc>),
}

/// Deletes at most `limit` deliveries that ended before `time`, or that have waited since then.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM webhook_deliveries WHERE id IN (
               SELECT id FROM webhook_deliveries WHERE COALESCE(finished_at, created_at) < $1 LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
