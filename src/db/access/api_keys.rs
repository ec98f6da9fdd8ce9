//! API keys: only a digest of each key is stored.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::read_name;
use crate::domain::access::key::{AllowedNetworks, KeyEnd};
use crate::domain::access::{KeyId, Principal, ProjectScope, Role};
use crate::domain::entity_tag::EntityTag;

#[derive(Debug, Clone)]
pub struct NewKey<'key> {
    /// The owner.
    pub name: &'key str,
    pub role: Role,
    pub scope: &'key ProjectScope,
    pub networks: &'key AllowedNetworks,
    pub expires_at: Option<DateTime<Utc>>,
    pub created_by: &'key Principal,
    /// The first characters of the key, to recognize it in a list.
    pub prefix: &'key str,
    /// SHA-256 of the key.
    pub key_hash: &'key [u8],
}

/// A key that was not revoked; it may have expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedKey {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    pub scope: ProjectScope,
    pub networks: AllowedNetworks,
    pub prefix: String,
    pub created_at: DateTime<Utc>,
    /// The name of the key that created it; `None` if it was created by an earlier release.
    pub created_by: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Accurate to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    pub replaced_by: Option<Uuid>,
    pub version: i64,
}

impl IssuedKey {
    #[must_use]
    pub fn etag(&self) -> EntityTag {
        EntityTag::of_version(self.version)
    }

    /// Why it is not accepted at `now`; `None` if it is.
    #[must_use]
    pub fn end(&self, now: DateTime<Utc>) -> Option<KeyEnd> {
        KeyEnd::of_times(false, self.expires_at, now)
    }
}

/// What authentication needs of a key that was not revoked. It may have expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveKey {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    pub scope: ProjectScope,
    pub networks: AllowedNetworks,
    pub expires_at: Option<DateTime<Utc>>,
    /// SHA-256 of the key.
    pub key_hash: Vec<u8>,
}

/// Returns the id of the new key.
pub async fn insert(connection: &mut PgConnection, key: &NewKey<'_>, now: DateTime<Utc>) -> Result<Uuid, DbError> {
    let (id, networks) = (Uuid::now_v7(), key.networks.to_texts());
    sqlx::query!(
        r#"INSERT INTO api_keys (id, name, role, projects, allowed_networks, expires_at, created_by, created_by_key, prefix,
                                 key_hash, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
        id,
        key.name,
        key.role.as_str(),
        key.scope.projects(),
        networks.as_deref(),
        key.expires_at,
        key.created_by.name,
        key.created_by.key_id.0,
        key.prefix,
        key.key_hash,
        now
    )
    .execute(connection)
    .await?;
    Ok(id)
}

/// Lists the keys that were not revoked, oldest first.
pub async fn list(executor: impl PgExecutor<'_>) -> Result<Vec<IssuedKey>, DbError> {
    let rows = sqlx::query_as!(
        KeyRow,
        r#"SELECT id, name, role, projects, allowed_networks, prefix, created_at, created_by, expires_at, last_used_at,
                  replaced_by, version
             FROM api_keys WHERE revoked_at IS NULL ORDER BY created_at, id"#
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(IssuedKey::try_from).collect()
}

/// One that was not revoked.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<IssuedKey>, DbError> {
    let row = sqlx::query_as!(
        KeyRow,
        r#"SELECT id, name, role, projects, allowed_networks, prefix, created_at, created_by, expires_at, last_used_at,
                  replaced_by, version
             FROM api_keys WHERE id = $1 AND revoked_at IS NULL"#,
        id
    )
    .fetch_optional(pool)
    .await?;
    row.map(IssuedKey::try_from).transpose()
}

/// [`list`], and locks the rows until the end of the transaction, so that decisions about them are made one after the other.
pub async fn lock(connection: &mut PgConnection) -> Result<Vec<IssuedKey>, DbError> {
    let rows = sqlx::query_as!(
        KeyRow,
        r#"SELECT id, name, role, projects, allowed_networks, prefix, created_at, created_by, expires_at, last_used_at,
                  replaced_by, version
             FROM api_keys WHERE revoked_at IS NULL ORDER BY created_at, id FOR UPDATE"#
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(IssuedKey::try_from).collect()
}

struct KeyRow {
    id: Uuid,
    name: String,
    role: String,
    projects: Option<Vec<String>>,
    allowed_networks: Option<Vec<String>>,
    prefix: String,
    created_at: DateTime<Utc>,
    created_by: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    replaced_by: Option<Uuid>,
    version: i64,
}

impl TryFrom<KeyRow> for IssuedKey {
    type Error = DbError;

    fn try_from(row: KeyRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            role: role(row.role)?,
            scope: scope(row.projects)?,
            networks: networks(row.allowed_networks)?,
            prefix: row.prefix,
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            replaced_by: row.replaced_by,
            version: row.version,
        })
    }
}

pub async fn list_active(pool: &PgPool) -> Result<Vec<ActiveKey>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, name, role, projects, allowed_networks, expires_at, key_hash FROM api_keys WHERE revoked_at IS NULL"#
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ActiveKey {
                id: row.id,
                name: row.name,
                role: role(row.role)?,
                scope: scope(row.projects)?,
                networks: networks(row.allowed_networks)?,
                expires_at: row.expires_at,
                key_hash: row.key_hash,
            })
        })
        .collect()
}

/// How many keys are accepted now.
pub async fn count_accepted(pool: &PgPool) -> Result<i64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"#
    );
    Ok(count.fetch_one(pool).await?)
}

fn role(name: String) -> Result<Role, DbError> {
    read_name("api_keys.role", name, Role::from_name)
}

/// An empty list must never be taken for all projects.
fn scope(projects: Option<Vec<String>>) -> Result<ProjectScope, DbError> {
    match projects {
        Some(projects) if projects.is_empty() => Err(DbError::impossible("api_keys.projects", "{}")),
        projects => Ok(ProjectScope::new(projects)),
    }
}

fn networks(texts: Option<Vec<String>>) -> Result<AllowedNetworks, DbError> {
    let texts = texts.unwrap_or_default();
    let networks = texts.iter().map(|text| text.parse().map_err(|_| text.clone())).collect::<Result<_, _>>();
    networks.and_then(AllowedNetworks::new).map_err(|value| DbError::impossible("api_keys.allowed_networks", value))
}

/// Writes at most once a minute.
pub async fn record_use(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE api_keys SET last_used_at = $2
            WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2::timestamptz - interval '1 minute')"#,
        id,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Records which key replaces a key, and when the replaced one ends.
pub async fn set_replaced(
    connection: &mut PgConnection,
    id: Uuid,
    replaced_by: Uuid,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE api_keys SET replaced_by = $2, expires_at = $3, rotated_at = $4 WHERE id = $1",
        id,
        replaced_by,
        expires_at,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn revoke(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!("UPDATE api_keys SET revoked_at = $2 WHERE id = $1", id, now).execute(connection).await?;
    Ok(())
}

/// Why this key is no longer accepted; `None` if it is, or if it is not in the table, as those of `API_KEYS`.
pub async fn find_end(executor: impl PgExecutor<'_>, id: KeyId, now: DateTime<Utc>) -> Result<Option<KeyEnd>, DbError> {
    let row =
        sqlx::query!(r#"SELECT revoked_at IS NOT NULL AS "revoked!", expires_at FROM api_keys WHERE id = $1"#, id.0)
            .fetch_optional(executor)
            .await?;
    Ok(row.and_then(|row| KeyEnd::of_times(row.revoked, row.expires_at, now)))
}
