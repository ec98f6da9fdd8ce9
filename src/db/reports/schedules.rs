//! The schedules that people set.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::read_name;
use crate::domain::access::key::KeyEnd;
use crate::domain::access::{KeyId, Principal, ProjectScope, Role};
use crate::domain::entity_tag::EntityTag;
use crate::domain::reports::period::Period;
use crate::domain::reports::schedule::{
    Destination, DestinationKind, Language, ReportContent, ReportKind, ScheduleProperties, ScheduledExport,
};
use crate::domain::schedule::Cron;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSchedule {
    pub id: Uuid,
    pub properties: ScheduleProperties,
    /// Whose rights the reports have.
    pub owner: Principal,
    /// `None` if it is not enabled.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Why it was stopped, if no person did it.
    pub stopped_reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub version: i64,
}

impl ReportSchedule {
    #[must_use]
    pub fn etag(&self) -> EntityTag {
        EntityTag::of_version(self.version)
    }
}

struct ScheduleRow {
    id: Uuid,
    name: String,
    kind: String,
    export_request: Option<Value>,
    export_spec: Option<Value>,
    period: Option<String>,
    language: String,
    cron: String,
    timezone: String,
    destination: String,
    webhook_id: Option<Uuid>,
    recipients: Option<Vec<String>>,
    folder: Option<String>,
    enabled: bool,
    stopped_reason: Option<String>,
    next_run_at: Option<DateTime<Utc>>,
    owner_key: Uuid,
    owner: String,
    role: String,
    projects: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i64,
}

fn content(row: &ScheduleRow) -> Result<ReportContent, DbError> {
    let kind = read_name("report_schedules.kind", row.kind.clone(), ReportKind::from_name)?;
    let period = row.period.clone().map(|name| read_name("report_schedules.period", name, Period::from_name));
    Ok(match (kind, &row.export_request, &row.export_spec) {
        (ReportKind::Digest, None, None) => ReportContent::Digest,
        (ReportKind::Export, Some(request), Some(spec)) => ReportContent::Export(ScheduledExport {
            request: request.clone(),
            spec: spec.clone(),
            period: period.transpose()?,
        }),
        _ => return Err(DbError::impossible("report_schedules.export_spec", "present or absent against the kind")),
    })
}

fn destination(row: &ScheduleRow) -> Result<Destination, DbError> {
    let kind = read_name("report_schedules.destination", row.destination.clone(), DestinationKind::from_name)?;
    let impossible = |error: &str| DbError::impossible("report_schedules.destination", error);
    Ok(match (kind, row.webhook_id, &row.recipients, &row.folder) {
        (DestinationKind::Webhook, Some(webhook_id), ..) => Destination::Webhook(webhook_id),
        (DestinationKind::Email, _, Some(recipients), _) => {
            let addresses = recipients.iter().map(|address| address.parse().map_err(impossible));
            Destination::Email(addresses.collect::<Result<_, _>>()?)
        }
        (DestinationKind::ObjectStore, .., Some(folder)) => {
            Destination::ObjectStore(folder.parse().map_err(impossible)?)
        }
        _ => return Err(impossible("its address is missing")),
    })
}

fn cron(row: &ScheduleRow) -> Result<Cron, DbError> {
    let unreadable = |error: String| DbError::impossible("report_schedules.cron", error);
    Ok(Cron {
        expression: row.cron.parse().map_err(|error| unreadable(format!("{error}")))?,
        zone: row.timezone.parse().map_err(|error| unreadable(format!("{error}")))?,
    })
}

impl TryFrom<ScheduleRow> for ReportSchedule {
    type Error = DbError;

    fn try_from(row: ScheduleRow) -> Result<Self, DbError> {
        let (content, destination, cron) = (content(&row)?, destination(&row)?, cron(&row)?);
        let role = read_name("report_schedules.role", row.role, Role::from_name)?;
        Ok(Self {
            id: row.id,
            properties: ScheduleProperties {
                name: row.name,
                content,
                language: read_name("report_schedules.language", row.language, Language::from_name)?,
                cron,
                destination,
                enabled: row.enabled,
            },
            owner: Principal::of_key(KeyId(row.owner_key), row.owner, role, ProjectScope::new(row.projects)),
            next_run_at: row.next_run_at,
            stopped_reason: row.stopped_reason,
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        })
    }
}

/// The columns of a destination: the webhook, the recipients, the folder.
fn address(destination: &Destination) -> (Option<Uuid>, Option<Vec<String>>, Option<&str>) {
    match destination {
        Destination::Webhook(id) => (Some(*id), None, None),
        Destination::Email(recipients) => {
            (None, Some(recipients.iter().map(|address| address.as_str().to_owned()).collect()), None)
        }
        Destination::ObjectStore(folder) => (None, None, Some(folder.as_str())),
    }
}

/// Inserts a schedule, or replaces everything but its creation, and returns its version. A stored reason for its stop is cleared if it
/// is enabled.
pub async fn upsert(connection: &mut PgConnection, schedule: &ReportSchedule) -> Result<i64, DbError> {
    let ReportSchedule { id, properties, owner, next_run_at, stopped_reason, created_at, updated_at, version: _ } =
        schedule;
    let export = match &properties.content {
        ReportContent::Digest => None,
        ReportContent::Export(export) => Some(export),
    };
    let (webhook_id, recipients, folder) = address(&properties.destination);
    let version = sqlx::query_scalar!(
        r#"INSERT INTO report_schedules (id, name, kind, export_request, export_spec, period, language, cron, timezone, destination,
                                         webhook_id, recipients, folder, enabled, stopped_reason, next_run_at, owner_key, owner, role,
                                         projects, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
           ON CONFLICT (id) DO UPDATE SET
               name = excluded.name, kind = excluded.kind, export_request = excluded.export_request,
               export_spec = excluded.export_spec, period = excluded.period, language = excluded.language, cron = excluded.cron,
               timezone = excluded.timezone, destination = excluded.destination, webhook_id = excluded.webhook_id,
               recipients = excluded.recipients, folder = excluded.folder, enabled = excluded.enabled,
               stopped_reason = excluded.stopped_reason, next_run_at = excluded.next_run_at, owner_key = excluded.owner_key,
               owner = excluded.owner, role = excluded.role, projects = excluded.projects, updated_at = excluded.updated_at
           RETURNING version"#,
        id,
        properties.name,
        properties.content.kind().as_str(),
        export.map(|export| &export.request),
        export.map(|export| &export.spec),
        export.and_then(|export| export.period).map(Period::as_str),
        properties.language.as_str(),
        properties.cron.expression.to_string(),
        properties.cron.zone.name(),
        properties.destination.kind().as_str(),
        webhook_id,
        recipients.as_deref(),
        folder,
        properties.enabled,
        stopped_reason.as_deref(),
        *next_run_at,
        owner.key_id.0,
        owner.name,
        owner.role.as_str(),
        owner.scope.projects(),
        created_at,
        updated_at
    )
    .fetch_one(connection)
    .await?;
    Ok(version)
}

/// Deletes a schedule and its runs.
pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM report_schedules WHERE id = $1", id).execute(connection).await?;
    Ok(())
}

pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<ReportSchedule>, DbError> {
    let row = sqlx::query_as!(
        ScheduleRow,
        r#"SELECT id, name, kind, export_request, export_spec, period, language, cron, timezone, destination, webhook_id, recipients,
                  folder, enabled, stopped_reason, next_run_at, owner_key, owner, role, projects, created_at, updated_at,
                  version
             FROM report_schedules WHERE id = $1"#,
        id
    )
    .fetch_optional(executor)
    .await?;
    row.map(ReportSchedule::try_from).transpose()
}

/// [`find`], and locks the row until the end of the transaction.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<ReportSchedule>, DbError> {
    sqlx::query!("SELECT id FROM report_schedules WHERE id = $1 FOR NO KEY UPDATE", id)
        .fetch_optional(&mut *connection)
        .await?;
    find(connection, id).await
}

/// Those whose owners see no more than `scope`, newest first.
pub async fn list(
    pool: &PgPool,
    scope: &ProjectScope,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<ReportSchedule>, DbError> {
    let (after_time, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        ScheduleRow,
        r#"SELECT id, name, kind, export_request, export_spec, period, language, cron, timezone, destination, webhook_id, recipients,
                  folder, enabled, stopped_reason, next_run_at, owner_key, owner, role, projects, created_at, updated_at,
                  version
             FROM report_schedules
            WHERE (created_at, id) < (COALESCE($1::timestamptz, 'infinity'), $2::uuid)
              AND ($5::text[] IS NULL OR projects <@ $5)
            ORDER BY created_at DESC, id DESC
           OFFSET $3 LIMIT $4"#,
        after_time,
        after_id,
        window.offset,
        window.limit,
        scope.projects()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(ReportSchedule::try_from).collect()
}

pub async fn count(executor: impl PgExecutor<'_>, scope: &ProjectScope) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM report_schedules WHERE $1::text[] IS NULL OR projects <@ $1"#,
        scope.projects()
    );
    Ok(count.fetch_one(executor).await?.unsigned_abs())
}

/// Enabled schedules with a time up to `now` that has no run yet.
pub async fn list_due(pool: &PgPool, now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM report_schedules WHERE enabled AND next_run_at <= $1 ORDER BY next_run_at, id",
        now
    );
    Ok(ids.fetch_all(pool).await?)
}

/// Enabled schedules whose owners' keys are no longer accepted, and why. Keys that are not in the table have no end.
pub async fn list_ended(pool: &PgPool, now: DateTime<Utc>) -> Result<Vec<(Uuid, KeyEnd)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT report_schedules.id, revoked_at IS NOT NULL AS "revoked!", expires_at
             FROM report_schedules JOIN api_keys ON api_keys.id = owner_key
            WHERE enabled AND (revoked_at IS NOT NULL OR expires_at <= $1)"#,
        now
    )
    .fetch_all(pool)
    .await?;
    let end = |(id, revoked, expires_at)| KeyEnd::of_times(revoked, expires_at, now).map(|end| (id, end));
    Ok(rows.into_iter().map(|row| (row.id, row.revoked, row.expires_at)).filter_map(end).collect())
}

/// Stops a schedule; returns whether it was enabled.
pub async fn stop(connection: &mut PgConnection, id: Uuid, reason: &str, now: DateTime<Utc>) -> Result<bool, DbError> {
    let stopped = sqlx::query!(
        r#"UPDATE report_schedules SET enabled = false, next_run_at = NULL, stopped_reason = $2, updated_at = $3
            WHERE id = $1 AND enabled"#,
        id,
        reason,
        now
    );
    Ok(stopped.execute(connection).await?.rows_affected() == 1)
}

/// Records the next time that has no run.
pub async fn set_next_run(
    connection: &mut PgConnection,
    id: Uuid,
    next_run_at: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    sqlx::query!("UPDATE report_schedules SET next_run_at = $2 WHERE id = $1", id, next_run_at)
        .execute(connection)
        .await?;
    Ok(())
}
