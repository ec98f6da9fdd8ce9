//! Messages about alerts to the channels of the operator.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::read_name;
use crate::domain::alerts::rule::{AlertState, Channel};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub id: Uuid,
    pub channel: Channel,
    pub title: String,
    pub body: String,
    pub is_delivered: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct NewNotification<'a> {
    pub id: Uuid,
    pub alert_id: Uuid,
    pub channel: Channel,
    pub state: AlertState,
    pub title: &'a str,
    pub body: &'a str,
}

/// Returns whether it is new: each is sent once.
pub async fn insert(
    connection: &mut PgConnection,
    notification: &NewNotification<'_>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let inserted = sqlx::query!(
        r#"INSERT INTO alert_notifications (id, alert_id, channel, state, title, body, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (alert_id, channel, state) DO NOTHING"#,
        notification.id,
        notification.alert_id,
        notification.channel.as_str(),
        notification.state.as_str(),
        notification.title,
        notification.body,
        now
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Where it was announced that an alert has fired.
pub async fn list_channels(connection: &mut PgConnection, alert_id: Uuid) -> Result<Vec<Channel>, DbError> {
    let names = sqlx::query_scalar!(
        "SELECT channel FROM alert_notifications WHERE alert_id = $1 AND state = 'fired' ORDER BY channel",
        alert_id
    );
    let channel = |name: String| read_name("alert_notifications.channel", name, Channel::from_name);
    names.fetch_all(connection).await?.into_iter().map(channel).collect()
}

pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Notification>, DbError> {
    let row = sqlx::query!(
        r#"SELECT channel, title, body, delivered_at IS NOT NULL AS "is_delivered!" FROM alert_notifications WHERE id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let channel = read_name("alert_notifications.channel", row.channel, Channel::from_name)?;
    Ok(Some(Notification { id, channel, title: row.title, body: row.body, is_delivered: row.is_delivered }))
}

pub async fn set_delivered(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!("UPDATE alert_notifications SET delivered_at = $2 WHERE id = $1 AND delivered_at IS NULL", id, now)
        .execute(connection)
        .await?;
    Ok(())
}
