//! The rules that people set.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::read_name;
use crate::domain::alerts::condition::{Condition, ConditionKind};
use crate::domain::alerts::hysteresis::HoldTimes;
use crate::domain::alerts::parameters::Parameters;
use crate::domain::alerts::rule::{RuleProperties, Severity};
use crate::domain::entity_tag::EntityTag;
use crate::domain::transaction::Source;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRule {
    pub id: Uuid,
    pub properties: RuleProperties,
    /// How many of its alerts are open.
    pub open_alerts: u64,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub updated_at: DateTime<Utc>,
    pub version: i64,
}

impl AlertRule {
    #[must_use]
    pub fn etag(&self) -> EntityTag {
        EntityTag::of_version(self.version)
    }
}

struct RuleRow {
    id: Uuid,
    name: String,
    description: String,
    severity: String,
    kind: String,
    parameters: Value,
    projects: Vec<String>,
    source: Option<String>,
    for_minutes: i32,
    clear_minutes: i32,
    max_lag_minutes: i32,
    enabled: bool,
    muted_until: Option<DateTime<Utc>>,
    open_alerts: i64,
    created_at: DateTime<Utc>,
    created_by: String,
    updated_at: DateTime<Utc>,
    version: i64,
}

fn condition(kind: String, parameters: Value) -> Result<Condition, DbError> {
    let kind = read_name("alert_rules.kind", kind, ConditionKind::from_name)?;
    let unreadable = |error: String| DbError::impossible("alert_rules.parameters", error);
    let parameters: Parameters = serde_json::from_value(parameters).map_err(|error| unreadable(error.to_string()))?;
    Condition::new(kind, &parameters).map_err(|error| unreadable(error.to_string()))
}

impl TryFrom<RuleRow> for AlertRule {
    type Error = DbError;

    fn try_from(row: RuleRow) -> Result<Self, DbError> {
        let hold =
            HoldTimes { for_minutes: row.for_minutes.unsigned_abs(), clear_minutes: row.clear_minutes.unsigned_abs() };
        let source = row.source.map(|name| read_name("alert_rules.source", name, Source::from_name)).transpose()?;
        Ok(Self {
            id: row.id,
            properties: RuleProperties {
                name: row.name,
                description: row.description,
                severity: read_name("alert_rules.severity", row.severity, Severity::from_name)?,
                condition: condition(row.kind, row.parameters)?,
                projects: row.projects,
                source,
                hold,
                max_lag_minutes: row.max_lag_minutes.unsigned_abs(),
                enabled: row.enabled,
                muted_until: row.muted_until,
            },
            open_alerts: row.open_alerts.unsigned_abs(),
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            version: row.version,
        })
    }
}

/// Minutes are limited far below `i32::MAX`.
fn minutes(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    rule: &RuleProperties,
    created_by: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO alert_rules (id, name, description, severity, kind, parameters, projects, source, for_minutes, clear_minutes,
                                    max_lag_minutes, enabled, muted_until, created_at, created_by, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $14)"#,
        id,
        rule.name,
        rule.description,
        rule.severity.as_str(),
        rule.condition.kind().as_str(),
        json!(rule.condition.parameters()),
        &rule.projects,
        rule.source.map(Source::as_str),
        minutes(rule.hold.for_minutes),
        minutes(rule.hold.clear_minutes),
        minutes(rule.max_lag_minutes),
        rule.enabled,
        rule.muted_until,
        now,
        created_by
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn update(
    connection: &mut PgConnection,
    id: Uuid,
    rule: &RuleProperties,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE alert_rules
              SET name = $2, description = $3, severity = $4, kind = $5, parameters = $6, projects = $7, source = $8,
                  for_minutes = $9, clear_minutes = $10, max_lag_minutes = $11, enabled = $12, muted_until = $13,
                  updated_at = $14
            WHERE id = $1"#,
        id,
        rule.name,
        rule.description,
        rule.severity.as_str(),
        rule.condition.kind().as_str(),
        json!(rule.condition.parameters()),
        &rule.projects,
        rule.source.map(Source::as_str),
        minutes(rule.hold.for_minutes),
        minutes(rule.hold.clear_minutes),
        minutes(rule.max_lag_minutes),
        rule.enabled,
        rule.muted_until,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes a rule; its alerts stay.
pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM alert_rules WHERE id = $1", id).execute(connection).await?;
    Ok(())
}

pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<AlertRule>, DbError> {
    let row = sqlx::query_as!(
        RuleRow,
        r#"SELECT id, name, description, severity, kind, parameters, projects, source, for_minutes, clear_minutes,
                  max_lag_minutes, enabled, muted_until, created_at, created_by, updated_at, version,
                  (SELECT count(*) FROM alerts WHERE rule_id = alert_rules.id AND resolved_at IS NULL) AS "open_alerts!"
             FROM alert_rules WHERE id = $1"#,
        id
    )
    .fetch_optional(executor)
    .await?;
    row.map(AlertRule::try_from).transpose()
}

/// [`find`], and locks the row until the end of the transaction.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<AlertRule>, DbError> {
    sqlx::query!("SELECT id FROM alert_rules WHERE id = $1 FOR NO KEY UPDATE", id)
        .fetch_optional(&mut *connection)
        .await?;
    find(connection, id).await
}

/// Newest first.
pub async fn list(pool: &PgPool, window: &PageWindow<TimeCursor>) -> Result<Vec<AlertRule>, DbError> {
    let (after_time, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        RuleRow,
        r#"SELECT id, name, description, severity, kind, parameters, projects, source, for_minutes, clear_minutes,
                  max_lag_minutes, enabled, muted_until, created_at, created_by, updated_at, version,
                  (SELECT count(*) FROM alerts WHERE rule_id = alert_rules.id AND resolved_at IS NULL) AS "open_alerts!"
             FROM alert_rules
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
    rows.into_iter().map(AlertRule::try_from).collect()
}

/// Those that are evaluated. One that this release cannot read, because a newer one wrote it, is skipped.
pub async fn list_enabled(pool: &PgPool) -> Result<Vec<AlertRule>, DbError> {
    let rows = sqlx::query_as!(
        RuleRow,
        r#"SELECT id, name, description, severity, kind, parameters, projects, source, for_minutes, clear_minutes,
                  max_lag_minutes, enabled, muted_until, created_at, created_by, updated_at, version,
                  0::bigint AS "open_alerts!"
             FROM alert_rules WHERE enabled ORDER BY created_at, id"#
    )
    .fetch_all(pool)
    .await?;
    let readable = rows.into_iter().filter_map(|row| {
        let id = row.id;
        AlertRule::try_from(row)
            .inspect_err(|error| tracing::warn!(%error, rule_id = %id, "skipped an alert rule that cannot be read"))
            .ok()
    });
    Ok(readable.collect())
}

pub async fn count(executor: impl PgExecutor<'_>) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM alert_rules"#).fetch_one(executor).await?;
    Ok(count.unsigned_abs())
}
