//! Which events each endpoint has not looked at yet.

use sqlx::PgConnection;
use uuid::Uuid;

use super::sources;
use crate::db::DbError;
use crate::domain::subscription::Subscription;
use crate::domain::transaction::Source;

/// An endpoint with new events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BehindWebhook {
    pub id: Uuid,
    pub subscription: Subscription,
    /// The last event that it has looked at.
    pub last_event_id: i64,
}

/// Endpoints with new events, locked until the end of the transaction, and the ids of the oldest and the newest event. Skips
/// those that another worker has locked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behind {
    pub webhooks: Vec<BehindWebhook>,
    pub oldest_event_id: i64,
    pub newest_event_id: i64,
}

pub async fn lock_behind(connection: &mut PgConnection, limit: i64) -> Result<Behind, DbError> {
    let rows = sqlx::query!(
        r#"SELECT webhooks.id, events, sources, last_event_id, (SELECT min(id) FROM events) AS "oldest!", newest.id AS "newest!"
             FROM webhooks, (SELECT COALESCE(max(id), 0) AS id FROM events) AS newest (id)
            WHERE enabled AND last_event_id < newest.id
            ORDER BY last_event_id LIMIT $1
              FOR UPDATE OF webhooks SKIP LOCKED"#,
        limit
    )
    .fetch_all(connection)
    .await?;
    let mut behind = Behind::default();
    for row in rows {
        (behind.oldest_event_id, behind.newest_event_id) = (row.oldest, row.newest);
        let sources = sources(row.sources)?.unwrap_or_else(|| Source::ALL.to_vec());
        let subscription = Subscription { events: row.events, sources };
        behind.webhooks.push(BehindWebhook { id: row.id, subscription, last_event_id: row.last_event_id });
    }
    Ok(behind)
}

pub async fn advance(connection: &mut PgConnection, webhook_ids: &[Uuid], last_event_id: i64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE webhooks SET last_event_id = GREATEST(last_event_id, $2) WHERE id = ANY($1)",
        webhook_ids,
        last_event_id
    )
    .execute(connection)
    .await?;
    Ok(())
}
