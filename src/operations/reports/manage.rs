//! Creates, changes, deletes and runs schedules.
//!
//! A schedule belongs to the key that created it, and its reports contain what that key may see. A change by another key does not
//! alter this, so that renaming a report never widens it; a request that takes over the ownership says so.

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{ReportError, insert_run};
use crate::db::access::api_keys;
use crate::db::reports::runs::{self, ReportRun};
use crate::db::reports::schedules::{self, ReportSchedule};
use crate::db::{DbError, webhooks};
use crate::domain::access::{Principal, ProjectScope};
use crate::domain::entity_tag::Precondition;
use crate::domain::job::DELIVER_REPORT;
use crate::domain::reports::recipients::Address;
use crate::domain::reports::schedule::{Destination, ReportContent, ScheduleProperties};
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::enqueue_job::send_wakeup;
use crate::redis::Redis;

const MAX_SCHEDULES: u64 = 200;

/// What the audit log says about a schedule.
pub(super) fn described(schedule: &ReportSchedule) -> Value {
    let ReportSchedule { properties, owner, stopped_reason, .. } = schedule;
    let (export, period) = match &properties.content {
        ReportContent::Digest => (None, None),
        ReportContent::Export(export) => (Some(&export.request), export.period),
    };
    let destination = match &properties.destination {
        Destination::Webhook(id) => json!({"webhook_id": id}),
        Destination::Email(recipients) => {
            json!({"recipients": recipients.iter().map(Address::as_str).collect::<Vec<_>>()})
        }
        Destination::ObjectStore(folder) => json!({"folder": folder.as_str()}),
    };
    json!({
        "name": properties.name, "kind": properties.content.kind(), "export": export, "period": period,
        "language": properties.language, "cron": properties.cron.expression.to_string(),
        "timezone": properties.cron.zone.name(), "destination": destination, "enabled": properties.enabled,
        "stopped_reason": stopped_reason, "owner": owner.name, "owner_key": owner.key_id, "owner_scope": owner.scope,
    })
}

/// Finds a schedule that `by` may see: its owner sees no more projects than `by`.
pub async fn find_schedule(pool: &PgPool, by: &Principal, id: Uuid) -> Result<ReportSchedule, ReportError> {
    let schedule = schedules::find(pool, id).await?;
    schedule.filter(|schedule| by.scope.includes(&schedule.owner.scope)).ok_or(ReportError::NotFound)
}

/// [`find_schedule`] for a change.
async fn lock_schedule(connection: &mut PgConnection, by: &Principal, id: Uuid) -> Result<ReportSchedule, ReportError> {
    let schedule = schedules::lock(connection, id).await?;
    let schedule = schedule.filter(|schedule| by.scope.includes(&schedule.owner.scope)).ok_or(ReportError::NotFound)?;
    if by.role < schedule.owner.role {
        return Err(ReportError::OwnerHasHigherRole);
    }
    Ok(schedule)
}

/// Whether the destination exists.
async fn check_destination(connection: &mut PgConnection, destination: &Destination) -> Result<(), ReportError> {
    match destination {
        Destination::Webhook(id) => webhooks::find(connection, *id).await?.map(drop).ok_or(ReportError::NoWebhook),
        Destination::Email(_) | Destination::ObjectStore(_) => Ok(()),
    }
}

async fn check_owner(connection: &mut PgConnection, owner: &Principal, now: DateTime<Utc>) -> Result<(), ReportError> {
    match api_keys::find_end(connection, owner.key_id, now).await? {
        Some(end) => Err(ReportError::OwnerEnded(end)),
        None => Ok(()),
    }
}

pub async fn create_schedule(
    pool: &PgPool,
    properties: ScheduleProperties,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<ReportSchedule, ReportError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let count = schedules::count(&mut *transaction, &ProjectScope::All).await?;
    if count >= MAX_SCHEDULES {
        return Err(ReportError::TooMany(count));
    }
    check_destination(&mut transaction, &properties.destination).await?;
    let schedule = ReportSchedule {
        id: Uuid::now_v7(),
        next_run_at: properties.next_run_at(now),
        properties,
        owner: Principal { session: None, ..audit.principal.clone() },
        stopped_reason: None,
        created_at: now,
        updated_at: now,
        version: 0,
    };
    let schedule = ReportSchedule { version: schedules::upsert(&mut transaction, &schedule).await?, ..schedule };
    let record =
        AuditRecord::succeeded(json!({"schedule_id": schedule.id})).with_change(None::<Value>, described(&schedule));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(schedule)
}

/// Changes a schedule to what `change` makes of it and of its owner, who becomes the caller if `take_over`. Times that have not come
/// yet follow from the changed schedule; a schedule that is enabled again does not make up for what it has missed.
pub async fn update_schedule<E: From<ReportError>>(
    pool: &PgPool,
    id: Uuid,
    take_over: bool,
    precondition: &Precondition,
    change: impl FnOnce(ScheduleProperties, &Principal) -> Result<ScheduleProperties, E>,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<ReportSchedule, E> {
    let mut transaction = pool.begin().await.map_err(DbError::from).map_err(ReportError::from)?;
    let before = lock_schedule(&mut transaction, &audit.principal, id).await?;
    precondition.check(before.etag()).map_err(ReportError::from)?;
    let owner = if take_over { Principal { session: None, ..audit.principal.clone() } } else { before.owner.clone() };
    let properties = change(before.properties.clone(), &owner)?;
    let updating = async {
        check_destination(&mut transaction, &properties.destination).await?;
        if properties.enabled {
            check_owner(&mut transaction, &owner, now).await?;
        }
        let is_continued = before.properties.enabled && properties.cron == before.properties.cron;
        let next_run_at = before.next_run_at.filter(|_| is_continued && properties.enabled);
        let after = ReportSchedule {
            next_run_at: next_run_at.or_else(|| properties.next_run_at(now)),
            stopped_reason: before.stopped_reason.clone().filter(|_| !properties.enabled),
            properties,
            owner,
            updated_at: now,
            ..before.clone()
        };
        let after = ReportSchedule { version: schedules::upsert(&mut transaction, &after).await?, ..after };
        let record =
            AuditRecord::succeeded(json!({"schedule_id": id})).with_change(described(&before), described(&after));
        audit.append(&mut transaction, &record, now).await?;
        transaction.commit().await.map_err(DbError::from)?;
        Ok::<_, ReportError>(after)
    };
    Ok(updating.await?)
}

/// Deletes a schedule with its runs, and returns it as it was.
pub async fn delete_schedule(
    pool: &PgPool,
    id: Uuid,
    precondition: &Precondition,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<ReportSchedule, ReportError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let schedule = lock_schedule(&mut transaction, &audit.principal, id).await?;
    precondition.check(schedule.etag())?;
    schedules::delete(&mut transaction, id).await?;
    let record = AuditRecord::succeeded(json!({"schedule_id": id})).with_change(described(&schedule), None::<Value>);
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(schedule)
}

/// Runs a schedule now, also one that is not enabled, besides its own times.
pub async fn request_run(
    pool: &PgPool,
    redis: &Redis,
    id: Uuid,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<ReportRun, ReportError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let schedule = lock_schedule(&mut transaction, &audit.principal, id).await?;
    check_owner(&mut transaction, &schedule.owner, now).await?;
    let by = Some(audit.principal.name.as_str());
    let (run_id, job_id) = insert_run(&mut transaction, id, now.trunc_subsecs(0), by, now).await?;
    let run = runs::find(&mut *transaction, run_id).await?.ok_or(ReportError::NotFound)?;
    let record = AuditRecord::succeeded(json!({"schedule_id": id}))
        .with_change(None::<Value>, json!({"run_id": run_id, "job_id": job_id}));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    send_wakeup(redis, DELIVER_REPORT.queue, job_id).await;
    Ok(run)
}
