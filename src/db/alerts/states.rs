//! Since when the conditions of a rule hold or are over, and which alerts of it are open.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::read_name;
use crate::domain::alerts::hysteresis::Phase;
use crate::domain::alerts::rule::AlertReason;

/// What a rule has at most one open alert about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    /// A project or a source; empty for everything.
    pub subject: String,
    pub reason: AlertReason,
}

/// An alert that is not resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAlert {
    pub id: Uuid,
    pub message: String,
    pub is_notified: bool,
    pub is_acknowledged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    pub topic: Topic,
    pub phase: Phase,
    pub alert: Option<OpenAlert>,
}

/// The topics of a rule that have a state. The caller has locked the rule.
pub async fn list(connection: &mut PgConnection, rule_id: Uuid) -> Result<Vec<TopicState>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT subject AS "subject!", reason AS "reason!", breached_since, clear_since, alerts.id AS "alert_id?",
                  message AS "message?", notified_at IS NOT NULL AS "is_notified!",
                  acknowledged_at IS NOT NULL AS "is_acknowledged!"
             FROM (SELECT * FROM alert_states WHERE rule_id = $1) AS states
                  FULL JOIN (SELECT * FROM alerts WHERE rule_id = $1 AND resolved_at IS NULL) AS alerts USING (subject, reason)
            ORDER BY subject, reason"#,
        rule_id
    )
    .fetch_all(connection)
    .await?;
    let states = rows.into_iter().map(|row| {
        let reason = read_name("alert_states.reason", row.reason, AlertReason::from_name)?;
        let alert = row.alert_id.map(|id| OpenAlert {
            id,
            message: row.message.unwrap_or_default(),
            is_notified: row.is_notified,
            is_acknowledged: row.is_acknowledged,
        });
        let phase =
            Phase { is_open: alert.is_some(), breached_since: row.breached_since, clear_since: row.clear_since };
        Ok(TopicState { topic: Topic { subject: row.subject, reason }, phase, alert })
    });
    states.collect()
}

pub async fn upsert(connection: &mut PgConnection, rule_id: Uuid, topic: &Topic, phase: Phase) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO alert_states (rule_id, subject, reason, breached_since, clear_since) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (rule_id, subject, reason)
               DO UPDATE SET breached_since = excluded.breached_since, clear_since = excluded.clear_since"#,
        rule_id,
        topic.subject,
        topic.reason.as_str(),
        phase.breached_since,
        phase.clear_since
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets since when the conditions of a rule hold, because they have changed.
pub async fn delete(connection: &mut PgConnection, rule_id: Uuid) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM alert_states WHERE rule_id = $1", rule_id).execute(connection).await?;
    Ok(())
}
