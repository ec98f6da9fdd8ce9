//! Saves, changes and deletes views.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::audit::{AuditContext, AuditRecord};
use crate::db::DbError;
use crate::db::saved_views::{self, SavedView};
use crate::domain::access::Principal;
use crate::domain::saved_view::{MAX_VIEWS, ViewAccess, ViewProperties, may_share};

#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("there is no view with this id, or it is a personal view of another key")]
    NotFound,
    #[error("only its owner, or an admin, may change a shared view")]
    NotOwner,
    #[error("a shared view is seen by everyone, so sharing needs the role operator")]
    MayNotShare,
    #[error("this key has {MAX_VIEWS} views, as many as allowed: delete one")]
    TooMany,
}

/// What the audit log says about a view.
fn described(view: &SavedView) -> Value {
    let SavedView { properties, owner, owner_key, .. } = view;
    let ViewProperties { name, page, filters, shared } = properties;
    json!({"name": name, "page": page, "filters": filters, "shared": shared, "owner": owner, "owner_key": owner_key})
}

/// Finds a view that `by` may see.
pub async fn find_view(pool: &PgPool, by: &Principal, id: Uuid) -> Result<SavedView, ViewError> {
    let view = saved_views::find(pool, id).await?.ok_or(ViewError::NotFound)?;
    match ViewAccess::of(by, view.owner_key, view.properties.shared) {
        ViewAccess::Hidden => Err(ViewError::NotFound),
        ViewAccess::Read | ViewAccess::Change => Ok(view),
    }
}

/// [`find_view`] for a change.
async fn lock_view(connection: &mut PgConnection, by: &Principal, id: Uuid) -> Result<SavedView, ViewError> {
    let view = saved_views::lock(connection, id).await?.ok_or(ViewError::NotFound)?;
    match ViewAccess::of(by, view.owner_key, view.properties.shared) {
        ViewAccess::Hidden => Err(ViewError::NotFound),
        ViewAccess::Read => Err(ViewError::NotOwner),
        ViewAccess::Change => Ok(view),
    }
}

pub async fn create_view(
    pool: &PgPool,
    properties: ViewProperties,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<SavedView, ViewError> {
    let by = &audit.principal;
    if properties.shared && !may_share(by) {
        return Err(ViewError::MayNotShare);
    }
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    if saved_views::lock_owner(&mut transaction, by.key_id).await? >= MAX_VIEWS {
        return Err(ViewError::TooMany);
    }
    let view = SavedView {
        id: Uuid::now_v7(),
        properties,
        owner_key: by.key_id,
        owner: by.name.clone(),
        created_at: now,
        updated_at: now,
    };
    saved_views::upsert(&mut transaction, &view).await?;
    let record = AuditRecord::succeeded(json!({"view_id": view.id})).with_change(None::<Value>, described(&view));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(view)
}

/// Changes a view to what `change` makes of it. Its owner stays. An admin who stops sharing the view of another key gives it back
/// to its owner alone.
pub async fn update_view<E: From<ViewError>>(
    pool: &PgPool,
    id: Uuid,
    change: impl FnOnce(ViewProperties) -> Result<ViewProperties, E>,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<SavedView, E> {
    let mut transaction = pool.begin().await.map_err(DbError::from).map_err(ViewError::from)?;
    let before = lock_view(&mut transaction, &audit.principal, id).await?;
    let properties = change(before.properties.clone())?;
    let updating = async {
        if properties.shared && !before.properties.shared && !may_share(&audit.principal) {
            return Err(ViewError::MayNotShare);
        }
        let after = SavedView { properties, updated_at: now, ..before.clone() };
        saved_views::upsert(&mut transaction, &after).await?;
        let record = AuditRecord::succeeded(json!({"view_id": id})).with_change(described(&before), described(&after));
        audit.append(&mut transaction, &record, now).await?;
        transaction.commit().await.map_err(DbError::from)?;
        Ok(after)
    };
    Ok(updating.await?)
}

/// Deletes a view, and returns it as it was.
pub async fn delete_view(
    pool: &PgPool,
    id: Uuid,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<SavedView, ViewError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let view = lock_view(&mut transaction, &audit.principal, id).await?;
    saved_views::delete(&mut transaction, id).await?;
    let record = AuditRecord::succeeded(json!({"view_id": id})).with_change(described(&view), None::<Value>);
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(view)
}
