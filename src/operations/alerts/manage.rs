//! Creates, changes and deletes rules.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::AlertError;
use super::announce::Announcements;
use crate::db::DbError;
use crate::db::alerts::rules::AlertRule;
use crate::db::alerts::{rules, states};
use crate::domain::alerts::rule::RuleProperties;
use crate::domain::entity_tag::Precondition;
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::redis::Redis;

/// Each is measured every minute.
const MAX_RULES: u64 = 200;

/// What the audit log says about a rule.
fn described(rule: &RuleProperties) -> Value {
    json!({
        "name": rule.name, "description": rule.description, "severity": rule.severity, "kind": rule.condition.kind(),
        "parameters": rule.condition.parameters(), "projects": rule.projects, "source": rule.source,
        "for_minutes": rule.hold.for_minutes, "clear_minutes": rule.hold.clear_minutes,
        "max_lag_minutes": rule.max_lag_minutes, "enabled": rule.enabled, "muted_until": rule.muted_until,
    })
}

pub async fn create_rule(
    pool: &PgPool,
    rule: &RuleProperties,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<AlertRule, AlertError> {
    let id = Uuid::now_v7();
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let count = rules::count(&mut *transaction).await?;
    if count >= MAX_RULES {
        return Err(AlertError::TooMany(count));
    }
    rules::insert(&mut transaction, id, rule, &audit.principal.name, now).await?;
    let created = rules::find(&mut *transaction, id).await?.ok_or(AlertError::RuleNotFound)?;
    let record = AuditRecord::succeeded(json!({"rule_id": id})).with_change(None::<Value>, described(rule));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(created)
}

/// Changes a rule to what `change` makes of it. Since when its condition holds is forgotten if that is another one now. Open alerts
/// of a rule that is disabled are resolved; those of a changed rule stay until it says otherwise.
pub async fn update_rule<E: From<AlertError>>(
    pool: &PgPool,
    redis: &Redis,
    id: Uuid,
    precondition: &Precondition,
    change: impl FnOnce(RuleProperties) -> Result<RuleProperties, E>,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<AlertRule, E> {
    let mut transaction = pool.begin().await.map_err(DbError::from).map_err(AlertError::from)?;
    let locked = rules::lock(&mut transaction, id).await.map_err(AlertError::from)?;
    let before = locked.ok_or(AlertError::RuleNotFound)?;
    precondition.check(before.etag()).map_err(AlertError::from)?;
    let after = change(before.properties.clone())?;
    let updating = async {
        rules::update(&mut transaction, id, &after, now).await?;
        let mut announcements = Announcements::new(&before, now);
        if !after.enabled {
            announcements.resolve_all(&mut transaction, "the rule was disabled").await?;
        }
        let muted_until = after.muted_until;
        if (RuleProperties { muted_until, ..before.properties.clone() }) != after {
            states::delete(&mut transaction, id).await?;
        }
        let updated = rules::find(&mut *transaction, id).await?.ok_or(AlertError::RuleNotFound)?;
        let record = AuditRecord::succeeded(json!({"rule_id": id}))
            .with_change(described(&before.properties), described(&after));
        audit.append(&mut transaction, &record, now).await?;
        announcements.commit(transaction, redis).await?;
        Ok::<_, AlertError>(updated)
    };
    Ok(updating.await?)
}

/// Returns the rule as it was. Its alerts stay in the list, resolved.
pub async fn delete_rule(
    pool: &PgPool,
    redis: &Redis,
    id: Uuid,
    precondition: &Precondition,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<AlertRule, AlertError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let rule = rules::lock(&mut transaction, id).await?.ok_or(AlertError::RuleNotFound)?;
    precondition.check(rule.etag())?;
    let mut announcements = Announcements::new(&rule, now);
    announcements.resolve_all(&mut transaction, "the rule was deleted").await?;
    rules::delete(&mut transaction, id).await?;
    let record = AuditRecord::succeeded(json!({"rule_id": id})).with_change(described(&rule.properties), None::<Value>);
    audit.append(&mut transaction, &record, now).await?;
    announcements.commit(transaction, redis).await?;
    Ok(rule)
}
