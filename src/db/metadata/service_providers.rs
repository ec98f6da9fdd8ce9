//! The service providers.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{ListFilter, NameCursor, StoredRow, UpsertCounts};
use crate::db::DbError;
use crate::db::page::PageWindow;
use crate::domain::metadata::ServiceProvider;

/// Writes those of the service providers that are new, differ from what is stored, or are listed again. One writer at a
/// time: the caller's claim sees to that.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn upsert(
    connection: &mut PgConnection,
    providers: &[&ServiceProvider],
    now: DateTime<Utc>,
) -> Result<UpsertCounts, DbError> {
    let text = |field: fn(&ServiceProvider) -> &Option<String>| -> Vec<Option<&str>> {
        providers.iter().map(|provider| field(provider).as_deref()).collect()
    };
    let flag = |field: fn(&ServiceProvider) -> Option<bool>| -> Vec<Option<bool>> {
        providers.iter().map(|provider| field(provider)).collect()
    };
    let written = sqlx::query!(
        r#"WITH told AS (
               SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[],
                                    $7::boolean[])
                          AS row (service_provider_id, name, code, status, is_active, supports_payin, supports_payout)),
           differing AS (
               SELECT told.*, kept.service_provider_id IS NULL AS is_new
                 FROM told LEFT JOIN payshack_service_providers kept USING (service_provider_id)
                WHERE kept.service_provider_id IS NULL OR kept.last_seen_at IS NOT NULL
                   OR (kept.name, kept.code, kept.status, kept.is_active, kept.supports_payin, kept.supports_payout)
                      IS DISTINCT FROM
                      (told.name, told.code, told.status, told.is_active, told.supports_payin, told.supports_payout)),
           written AS (
               INSERT INTO payshack_service_providers
                      (service_provider_id, name, code, status, is_active, supports_payin, supports_payout,
                       first_seen_at, changed_at)
               SELECT service_provider_id, name, code, status, is_active, supports_payin, supports_payout, $8, $8
                 FROM differing
                   ON CONFLICT (service_provider_id) DO UPDATE
                  SET name = excluded.name, code = excluded.code, status = excluded.status,
                      is_active = excluded.is_active, supports_payin = excluded.supports_payin,
                      supports_payout = excluded.supports_payout, changed_at = excluded.changed_at,
                      last_seen_at = NULL)
           SELECT count(*) FILTER (WHERE is_new) AS "inserted!", count(*) FILTER (WHERE NOT is_new) AS "updated!"
             FROM differing"#,
        &providers.iter().map(|provider| provider.service_provider_id.as_str()).collect::<Vec<_>>() as &[&str],
        &text(|provider| &provider.name) as &[Option<&str>],
        &text(|provider| &provider.code) as &[Option<&str>],
        &text(|provider| &provider.status) as &[Option<&str>],
        &flag(|provider| provider.is_active) as &[Option<bool>],
        &flag(|provider| provider.supports_payin) as &[Option<bool>],
        &flag(|provider| provider.supports_payout) as &[Option<bool>],
        now
    )
    .fetch_one(connection)
    .await?;
    Ok(UpsertCounts::of(written.inserted, written.updated))
}

/// Marks the service providers that are not among `listed` as no longer listed since the list was read before, and says how
/// many were.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn mark_unlisted(
    connection: &mut PgConnection,
    listed: &[String],
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let marked = sqlx::query!(
        r#"UPDATE payshack_service_providers SET last_seen_at = lists.read_at, changed_at = $2
             FROM payshack_lists lists
            WHERE lists.list = 'service_providers' AND last_seen_at IS NULL AND service_provider_id <> ALL($1)"#,
        listed,
        now
    )
    .execute(connection)
    .await?;
    Ok(marked.rows_affected())
}

struct ServiceProviderRow {
    service_provider_id: String,
    name: Option<String>,
    code: Option<String>,
    status: Option<String>,
    is_active: Option<bool>,
    supports_payin: Option<bool>,
    supports_payout: Option<bool>,
    listed: bool,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

impl From<ServiceProviderRow> for StoredRow<ServiceProvider> {
    fn from(row: ServiceProviderRow) -> Self {
        Self {
            row: ServiceProvider {
                service_provider_id: row.service_provider_id,
                name: row.name,
                code: row.code,
                status: row.status,
                is_active: row.is_active,
                supports_payin: row.supports_payin,
                supports_payout: row.supports_payout,
            },
            listed: row.listed,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            changed_at: row.changed_at,
        }
    }
}

impl StoredRow<ServiceProvider> {
    /// Its place in the listing.
    #[must_use]
    pub fn cursor(&self) -> NameCursor {
        (self.row.name.clone().unwrap_or_default(), self.row.service_provider_id.clone())
    }
}

/// The service providers of one part of a listing, by their names.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list(
    pool: &PgPool,
    filter: &ListFilter,
    window: &PageWindow<NameCursor>,
) -> Result<Vec<StoredRow<ServiceProvider>>, DbError> {
    let (after_name, after_id) = window.after.clone().unzip();
    let rows = sqlx::query_as!(
        ServiceProviderRow,
        r#"SELECT service_provider_id, name, code, status, is_active, supports_payin, supports_payout,
                  last_seen_at IS NULL AS "listed!", first_seen_at, changed_at,
                  COALESCE(last_seen_at, lists.read_at) AS "last_seen_at!"
             FROM payshack_service_providers, payshack_lists lists
            WHERE lists.list = 'service_providers'
              AND ($1::text IS NULL OR name ILIKE $1 OR service_provider_id ILIKE $1)
              AND ($2::boolean IS NULL OR is_active = $2) AND ($3::boolean IS NULL OR (last_seen_at IS NULL) = $3)
              AND ($4::text IS NULL OR (COALESCE(name, ''), service_provider_id) > ($4, $5::text))
            ORDER BY COALESCE(name, ''), service_provider_id
           OFFSET $6 LIMIT $7"#,
        filter.pattern(),
        filter.is_active,
        filter.listed,
        after_name,
        after_id,
        window.offset,
        window.limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(StoredRow::from).collect())
}

/// How many service providers a filter finds.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(pool: &PgPool, filter: &ListFilter) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM payshack_service_providers
            WHERE ($1::text IS NULL OR name ILIKE $1 OR service_provider_id ILIKE $1)
              AND ($2::boolean IS NULL OR is_active = $2) AND ($3::boolean IS NULL OR (last_seen_at IS NULL) = $3)"#,
        filter.pattern(),
        filter.is_active,
        filter.listed
    )
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}
