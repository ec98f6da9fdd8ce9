//! Records that a person has seen an alert.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::AlertError;
use crate::db::DbError;
use crate::db::alerts::log::{self, Alert};
use crate::operations::audit::{AuditContext, AuditRecord};

/// The last one who acknowledges it is shown.
pub async fn acknowledge_alert(
    pool: &PgPool,
    id: Uuid,
    note: Option<&str>,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<Alert, AlertError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let before = log::lock(&mut transaction, id).await?.ok_or(AlertError::AlertNotFound)?;
    if before.resolved_at.is_some() {
        return Err(AlertError::Resolved);
    }
    let by = &audit.principal.name;
    log::acknowledge(&mut transaction, id, by, note, now).await?;
    let after = log::find(&mut *transaction, id).await?.ok_or(AlertError::AlertNotFound)?;
    let described = |alert: &Alert| json!({"acknowledged_by": alert.acknowledged_by, "note": alert.note});
    let record = AuditRecord::succeeded(json!({"alert_id": id})).with_change(described(&before), described(&after));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(after)
}
