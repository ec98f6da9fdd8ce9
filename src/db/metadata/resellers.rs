//! The resellers.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};

use super::{ListFilter, NameCursor, StoredRow, UpsertCounts};
use crate::db::DbError;
use crate::db::page::PageWindow;
use crate::domain::metadata::Reseller;

/// Writes those of the resellers that are new, differ from what is stored, or are listed again. One writer at a time: the
/// caller's claim sees to that.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn upsert(
    connection: &mut PgConnection,
    resellers: &[&Reseller],
    now: DateTime<Utc>,
) -> Result<UpsertCounts, DbError> {
    let text = |field: fn(&Reseller) -> &Option<String>| -> Vec<Option<&str>> {
        resellers.iter().map(|reseller| field(reseller).as_deref()).collect()
    };
    let written = sqlx::query!(
        r#"WITH told AS (
               SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                                    $7::boolean[], $8::numeric[])
                          AS row (reseller_id, user_id, name, email, role, status, is_active, balance)),
           differing AS (
               SELECT told.*, kept.reseller_id IS NULL AS is_new
                 FROM told LEFT JOIN payshack_resellers kept USING (reseller_id)
                WHERE kept.reseller_id IS NULL OR kept.last_seen_at IS NOT NULL
                   OR (kept.user_id, kept.name, kept.email, kept.role, kept.status, kept.is_active, kept.balance)
                      IS DISTINCT FROM
                      (told.user_id, told.name, told.email, told.role, told.status, told.is_active, told.balance)),
           written AS (
               INSERT INTO payshack_resellers
                      (reseller_id, user_id, name, email, role, status, is_active, balance, first_seen_at, changed_at)
               SELECT reseller_id, user_id, name, email, role, status, is_active, balance, $9, $9
                 FROM differing
                   ON CONFLICT (reseller_id) DO UPDATE
                  SET user_id = excluded.user_id, name = excluded.name, email = excluded.email, role = excluded.role,
                      status = excluded.status, is_active = excluded.is_active, balance = excluded.balance,
                      changed_at = excluded.changed_at, last_seen_at = NULL)
           SELECT count(*) FILTER (WHERE is_new) AS "inserted!", count(*) FILTER (WHERE NOT is_new) AS "updated!"
             FROM differing"#,
        &resellers.iter().map(|reseller| reseller.reseller_id.as_str()).collect::<Vec<_>>() as &[&str],
        &text(|reseller| &reseller.user_id) as &[Option<&str>],
        &text(|reseller| &reseller.name) as &[Option<&str>],
        &text(|reseller| &reseller.email) as &[Option<&str>],
        &text(|reseller| &reseller.role) as &[Option<&str>],
        &text(|reseller| &reseller.status) as &[Option<&str>],
        &resellers.iter().map(|reseller| reseller.is_active).collect::<Vec<_>>() as &[Option<bool>],
        &resellers.iter().map(|reseller| reseller.balance).collect::<Vec<_>>() as &[Option<Decimal>],
        now
    )
    .fetch_one(connection)
    .await?;
    Ok(UpsertCounts::of(written.inserted, written.updated))
}

/// Marks the resellers that are not among `listed` as no longer listed since the list was read before, and says how many
/// were.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn mark_unlisted(
    connection: &mut PgConnection,
    listed: &[String],
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let marked = sqlx::query!(
        r#"UPDATE payshack_resellers SET last_seen_at = lists.read_at, changed_at = $2
             FROM payshack_lists lists
            WHERE lists.list = 'resellers' AND last_seen_at IS NULL AND reseller_id <> ALL($1)"#,
        listed,
        now
    )
    .execute(connection)
    .await?;
    Ok(marked.rows_affected())
}

struct ResellerRow {
    reseller_id: String,
    user_id: Option<String>,
    name: Option<String>,
    email: Option<String>,
    role: Option<String>,
    status: Option<String>,
    is_active: Option<bool>,
    balance: Option<Decimal>,
    listed: bool,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

impl From<ResellerRow> for StoredRow<Reseller> {
    fn from(row: ResellerRow) -> Self {
        Self {
            row: Reseller {
                reseller_id: row.reseller_id,
                user_id: row.user_id,
                name: row.name,
                email: row.email,
                role: row.role,
                status: row.status,
                is_active: row.is_active,
                balance: row.balance,
            },
            listed: row.listed,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            changed_at: row.changed_at,
        }
    }
}

impl StoredRow<Reseller> {
    /// Its place in the listing.
    #[must_use]
    pub fn cursor(&self) -> NameCursor {
        (self.row.name.clone().unwrap_or_default(), self.row.reseller_id.clone())
    }
}

/// The resellers of one part of a listing, by their names.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list(
    pool: &PgPool,
    filter: &ListFilter,
    window: &PageWindow<NameCursor>,
) -> Result<Vec<StoredRow<Reseller>>, DbError> {
    let (after_name, after_id) = window.after.clone().unzip();
    let rows = sqlx::query_as!(
        ResellerRow,
        r#"SELECT reseller_id, user_id, name, email, role, status, is_active, balance,
                  last_seen_at IS NULL AS "listed!", first_seen_at, changed_at,
                  COALESCE(last_seen_at, lists.read_at) AS "last_seen_at!"
             FROM payshack_resellers, payshack_lists lists
            WHERE lists.list = 'resellers'
              AND ($1::text IS NULL OR name ILIKE $1 OR reseller_id ILIKE $1)
              AND ($2::boolean IS NULL OR is_active = $2) AND ($3::boolean IS NULL OR (last_seen_at IS NULL) = $3)
              AND ($4::text IS NULL OR (COALESCE(name, ''), reseller_id) > ($4, $5::text))
            ORDER BY COALESCE(name, ''), reseller_id
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

/// How many resellers a filter finds.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(pool: &PgPool, filter: &ListFilter) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM payshack_resellers
            WHERE ($1::text IS NULL OR name ILIKE $1 OR reseller_id ILIKE $1)
              AND ($2::boolean IS NULL OR is_active = $2) AND ($3::boolean IS NULL OR (last_seen_at IS NULL) = $3)"#,
        filter.pattern(),
        filter.is_active,
        filter.listed
    )
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}
