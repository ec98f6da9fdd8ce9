//! The alerts that were raised.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::states::Topic;
use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::read_name;
use crate::domain::alerts::condition::ConditionKind;
use crate::domain::alerts::rule::{AlertReason, RuleProperties, Severity};

#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub id: Uuid,
    /// `None` if the rule was deleted.
    pub rule_id: Option<Uuid>,
    pub rule_name: String,
    pub kind: ConditionKind,
    pub severity: Severity,
    /// A project or a source; empty for everything.
    pub subject: String,
    pub reason: AlertReason,
    pub message: String,
    pub value: Option<Decimal>,
    pub judged_at: DateTime<Utc>,
    pub fired_at: DateTime<Utc>,
    pub notified_at: Option<DateTime<Utc>>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub acknowledged_by: Option<String>,
    pub note: Option<String>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolved_message: Option<String>,
}

#[derive(FromRow)]
struct AlertRow {
    id: Uuid,
    rule_id: Option<Uuid>,
    rule_name: String,
    kind: String,
    severity: String,
    subject: String,
    reason: String,
    message: String,
    value: Option<Decimal>,
    judged_at: DateTime<Utc>,
    fired_at: DateTime<Utc>,
    notified_at: Option<DateTime<Utc>>,
    acknowledged_at: Option<DateTime<Utc>>,
    acknowledged_by: Option<String>,
    note: Option<String>,
    resolved_at: Option<DateTime<Utc>>,
    resolved_message: Option<String>,
}

impl TryFrom<AlertRow> for Alert {
    type Error = DbError;

    fn try_from(row: AlertRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id,
            rule_id: row.rule_id,
            rule_name: row.rule_name,
            kind: read_name("alerts.kind", row.kind, ConditionKind::from_name)?,
            severity: read_name("alerts.severity", row.severity, Severity::from_name)?,
            subject: row.subject,
            reason: read_name("alerts.reason", row.reason, AlertReason::from_name)?,
            message: row.message,
            value: row.value,
            judged_at: row.judged_at,
            fired_at: row.fired_at,
            notified_at: row.notified_at,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
            note: row.note,
            resolved_at: row.resolved_at,
            resolved_message: row.resolved_message,
        })
    }
}

impl Alert {
    /// Its position in the listing.
    #[must_use]
    pub fn cursor(&self) -> TimeCursor {
        (self.fired_at, self.id)
    }
}

/// Which alerts are listed. The default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    pub rule_id: Option<Uuid>,
    pub is_open: Option<bool>,
    pub is_acknowledged: Option<bool>,
    pub severities: Vec<Severity>,
    pub kinds: Vec<ConditionKind>,
    pub subjects: Vec<String>,
}

impl AlertFilter {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(rule_id) = self.rule_id {
            query.push(" AND rule_id = ").push_bind(rule_id);
        }
        if let Some(is_open) = self.is_open {
            query.push(if is_open { " AND resolved_at IS NULL" } else { " AND resolved_at IS NOT NULL" });
        }
        if let Some(is_acknowledged) = self.is_acknowledged {
            query.push(if is_acknowledged {
                " AND acknowledged_at IS NOT NULL"
            } else {
                " AND acknowledged_at IS NULL"
            });
        }
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<String>>();
        for (column, values) in [
            ("severity", owned(self.severities.iter().map(|one| one.as_str()).collect())),
            ("kind", owned(self.kinds.iter().map(|one| one.as_str()).collect())),
            ("subject", self.subjects.clone()),
        ] {
            if !values.is_empty() {
                query.push(format!(" AND {column} = ANY(")).push_bind(values).push(")");
            }
        }
    }
}

const COLUMNS: &str = "id, rule_id, rule_name, kind, severity, subject, reason, message, value, judged_at, fired_at, notified_at, \
                       acknowledged_at, acknowledged_by, note, resolved_at, resolved_message";

/// Newest first.
pub async fn list(pool: &PgPool, filter: &AlertFilter, window: &PageWindow<TimeCursor>) -> Result<Vec<Alert>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM alerts WHERE true"));
    filter.push(&mut query);
    window.push_newest_first(&mut query, "fired_at");
    let rows: Vec<AlertRow> = query.build_query_as().persistent(false).fetch_all(pool).await?;
    rows.into_iter().map(Alert::try_from).collect()
}

pub async fn count(pool: &PgPool, filter: &AlertFilter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*), count(*) FROM (SELECT FROM alerts WHERE true");
    filter.push(&mut query);
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS visited");
    let (found, visited): (i64, i64) = query.build_query_as().persistent(false).fetch_one(pool).await?;
    Ok(Count::from_visited(found, visited))
}

pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Alert>, DbError> {
    let row = sqlx::query_as!(
        AlertRow,
        r#"SELECT id, rule_id, rule_name, kind, severity, subject, reason, message, value, judged_at, fired_at, notified_at,
                  acknowledged_at, acknowledged_by, note, resolved_at, resolved_message
             FROM alerts WHERE id = $1"#,
        id
    )
    .fetch_optional(executor)
    .await?;
    row.map(Alert::try_from).transpose()
}

/// [`find`], and locks the row until the end of the transaction.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Alert>, DbError> {
    sqlx::query!("SELECT id FROM alerts WHERE id = $1 FOR NO KEY UPDATE", id).fetch_optional(&mut *connection).await?;
    find(connection, id).await
}

/// What an alert says when it fires.
#[derive(Debug, Clone, Copy)]
pub struct NewAlert<'a> {
    pub id: Uuid,
    pub rule_id: Uuid,
    pub rule: &'a RuleProperties,
    pub topic: &'a Topic,
    pub message: &'a str,
    pub value: Option<Decimal>,
    pub judged_at: DateTime<Utc>,
}

pub async fn insert(connection: &mut PgConnection, alert: &NewAlert<'_>, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO alerts (id, rule_id, rule_name, kind, severity, subject, reason, message, value, judged_at, fired_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
        alert.id,
        alert.rule_id,
        alert.rule.name,
        alert.rule.condition.kind().as_str(),
        alert.rule.severity.as_str(),
        alert.topic.subject,
        alert.topic.reason.as_str(),
        alert.message,
        alert.value,
        alert.judged_at,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn set_notified(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!("UPDATE alerts SET notified_at = $2 WHERE id = $1", id, now).execute(connection).await?;
    Ok(())
}

pub async fn resolve(
    connection: &mut PgConnection,
    id: Uuid,
    message: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE alerts SET resolved_at = $2, resolved_message = $3 WHERE id = $1 AND resolved_at IS NULL",
        id,
        now,
        message
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn acknowledge(
    connection: &mut PgConnection,
    id: Uuid,
    by: &str,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE alerts SET acknowledged_at = $2, acknowledged_by = $3, note = COALESCE($4, note) WHERE id = $1",
        id,
        now,
        by,
        note
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes at most `limit` alerts that were resolved before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE fired_at < $1 AND resolved_at < $1 LIMIT $2)",
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
