//! The views that people have saved.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::domain::access::KeyId;
use crate::domain::saved_view::ViewProperties;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedView {
    pub id: Uuid,
    pub properties: ViewProperties,
    pub owner_key: KeyId,
    /// The name of the owner.
    pub owner: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

struct ViewRow {
    id: Uuid,
    name: String,
    page: String,
    filters: Value,
    shared: bool,
    owner_key: Uuid,
    owner: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<ViewRow> for SavedView {
    type Error = DbError;

    fn try_from(row: ViewRow) -> Result<Self, DbError> {
        let filters = serde_json::from_value(row.filters);
        let filters = filters.map_err(|error| DbError::impossible("saved_views.filters", error.to_string()))?;
        Ok(Self {
            id: row.id,
            properties: ViewProperties { name: row.name, page: row.page, filters, shared: row.shared },
            owner_key: KeyId(row.owner_key),
            owner: row.owner,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Inserts a view, or replaces what can change.
pub async fn upsert(connection: &mut PgConnection, view: &SavedView) -> Result<(), DbError> {
    let ViewProperties { name, page, filters, shared } = &view.properties;
    sqlx::query!(
        r#"INSERT INTO saved_views (id, name, page, filters, shared, owner_key, owner, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (id) DO UPDATE SET name = excluded.name, page = excluded.page, filters = excluded.filters,
               shared = excluded.shared, updated_at = excluded.updated_at"#,
        view.id,
        name,
        page,
        serde_json::json!(filters),
        *shared,
        view.owner_key.0,
        view.owner,
        view.created_at,
        view.updated_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM saved_views WHERE id = $1", id).execute(connection).await?;
    Ok(())
}

pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<SavedView>, DbError> {
    let row = sqlx::query_as!(
        ViewRow,
        r#"SELECT id, name, page, filters, shared, owner_key, owner, created_at, updated_at FROM saved_views WHERE id = $1"#,
        id
    );
    row.fetch_optional(executor).await?.map(SavedView::try_from).transpose()
}

/// [`find`], and locks the row until the end of the transaction.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<SavedView>, DbError> {
    let row = sqlx::query_as!(
        ViewRow,
        r#"SELECT id, name, page, filters, shared, owner_key, owner, created_at, updated_at FROM saved_views WHERE id = $1
              FOR NO KEY UPDATE"#,
        id
    );
    row.fetch_optional(connection).await?.map(SavedView::try_from).transpose()
}

/// The views of `owner` and the shared ones, newest first; of one page if it is given.
pub async fn list(
    pool: &PgPool,
    owner: KeyId,
    page: Option<&str>,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<SavedView>, DbError> {
    let (after_time, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        ViewRow,
        r#"SELECT id, name, page, filters, shared, owner_key, owner, created_at, updated_at
             FROM saved_views
            WHERE (shared OR owner_key = $1) AND ($2::text IS NULL OR page = $2)
              AND (created_at, id) < (COALESCE($3::timestamptz, 'infinity'), $4::uuid)
            ORDER BY created_at DESC, id DESC
           OFFSET $5 LIMIT $6"#,
        owner.0,
        page,
        after_time,
        after_id,
        window.offset,
        window.limit
    );
    rows.fetch_all(pool).await?.into_iter().map(SavedView::try_from).collect()
}

/// How many [`list`] has in total.
pub async fn count(pool: &PgPool, owner: KeyId, page: Option<&str>) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM saved_views
            WHERE (shared OR owner_key = $1) AND ($2::text IS NULL OR page = $2)"#,
        owner.0,
        page
    );
    Ok(count.fetch_one(pool).await?.unsigned_abs())
}

/// How many views an owner has. Others of the same owner cannot be inserted until the transaction ends.
pub async fn lock_owner(connection: &mut PgConnection, owner: KeyId) -> Result<u64, DbError> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('saved views:' || $1::text, 0)) AS lock"#,
        owner.0.to_string()
    )
    .fetch_one(&mut *connection)
    .await?;
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM saved_views WHERE owner_key = $1"#, owner.0);
    Ok(count.fetch_one(connection).await?.unsigned_abs())
}

/// Gives the views of a key to the one that replaces it.
pub async fn give_to(connection: &mut PgConnection, replaced: Uuid, replacement: Uuid) -> Result<(), DbError> {
    sqlx::query!("UPDATE saved_views SET owner_key = $2 WHERE owner_key = $1", replaced, replacement)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes at most `limit` personal views whose key was revoked, or has expired, before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM saved_views WHERE id IN (
               SELECT saved_views.id FROM saved_views JOIN api_keys ON api_keys.id = owner_key
                WHERE NOT shared AND LEAST(revoked_at, expires_at) < $1 LIMIT $2)"#,
        time,
        limit
    );
    Ok(pruned.execute(pool).await?.rows_affected())
}
