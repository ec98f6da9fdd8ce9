//! The clients.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgExecutor};

use super::{ListFilter, NameCursor, StoredRow, UpsertCounts};
use crate::db::DbError;
use crate::db::page::PageWindow;
use crate::domain::metadata::Client;

/// Writes those of the clients that are new, differ from what is stored, or are listed again. One writer at a time: the
/// caller's claim sees to that.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn upsert(
    connection: &mut PgConnection,
    clients: &[&Client],
    now: DateTime<Utc>,
) -> Result<UpsertCounts, DbError> {
    let text = |field: fn(&Client) -> &Option<String>| -> Vec<Option<&str>> {
        clients.iter().map(|client| field(client).as_deref()).collect()
    };
    let figure = |field: fn(&Client) -> Option<Decimal>| -> Vec<Option<Decimal>> {
        clients.iter().map(|client| field(client)).collect()
    };
    let written = sqlx::query!(
        r#"WITH told AS (
               SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::numeric[],
                                    $7::numeric[], $8::numeric[], $9::text[])
                          AS row (client_id, name, email, status, is_active, balance, wallet_balance, commission_rate,
                                  reseller_id)),
           differing AS (
               SELECT told.*, kept.client_id IS NULL AS is_new
                 FROM told LEFT JOIN payshack_clients kept USING (client_id)
                WHERE kept.client_id IS NULL OR kept.last_seen_at IS NOT NULL
                   OR (kept.name, kept.email, kept.status, kept.is_active, kept.balance, kept.wallet_balance,
                       kept.commission_rate, kept.reseller_id)
                      IS DISTINCT FROM
                      (told.name, told.email, told.status, told.is_active, told.balance, told.wallet_balance,
                       told.commission_rate, told.reseller_id)),
           written AS (
               INSERT INTO payshack_clients
                      (client_id, name, email, status, is_active, balance, wallet_balance, commission_rate, reseller_id,
                       first_seen_at, changed_at)
               SELECT client_id, name, email, status, is_active, balance, wallet_balance, commission_rate, reseller_id,
                      $10, $10
                 FROM differing
                   ON CONFLICT (client_id) DO UPDATE
                  SET name = excluded.name, email = excluded.email, status = excluded.status,
                      is_active = excluded.is_active, balance = excluded.balance,
                      wallet_balance = excluded.wallet_balance, commission_rate = excluded.commission_rate,
                      reseller_id = excluded.reseller_id, changed_at = excluded.changed_at, last_seen_at = NULL)
           SELECT count(*) FILTER (WHERE is_new) AS "inserted!", count(*) FILTER (WHERE NOT is_new) AS "updated!"
             FROM differing"#,
        &clients.iter().map(|client| client.client_id.as_str()).collect::<Vec<_>>() as &[&str],
        &text(|client| &client.name) as &[Option<&str>],
        &text(|client| &client.email) as &[Option<&str>],
        &text(|client| &client.status) as &[Option<&str>],
        &clients.iter().map(|client| client.is_active).collect::<Vec<_>>() as &[Option<bool>],
        &figure(|client| client.balance) as &[Option<Decimal>],
        &figure(|client| client.wallet_balance) as &[Option<Decimal>],
        &figure(|client| client.commission_rate) as &[Option<Decimal>],
        &text(|client| &client.reseller_id) as &[Option<&str>],
        now
    )
    .fetch_one(connection)
    .await?;
    Ok(UpsertCounts::of(written.inserted, written.updated))
}

/// Marks the clients that are not among `listed` as no longer listed since the list was read before, and says how many
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
        r#"UPDATE payshack_clients SET last_seen_at = lists.read_at, changed_at = $2
             FROM payshack_lists lists
            WHERE lists.list = 'clients' AND last_seen_at IS NULL AND client_id <> ALL($1)"#,
        listed,
        now
    )
    .execute(connection)
    .await?;
    Ok(marked.rows_affected())
}

struct ClientRow {
    client_id: String,
    name: Option<String>,
    email: Option<String>,
    status: Option<String>,
    is_active: Option<bool>,
    balance: Option<Decimal>,
    wallet_balance: Option<Decimal>,
    commission_rate: Option<Decimal>,
    reseller_id: Option<String>,
    listed: bool,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

impl From<ClientRow> for StoredRow<Client> {
    fn from(row: ClientRow) -> Self {
        Self {
            row: Client {
                client_id: row.client_id,
                name: row.name,
                email: row.email,
                status: row.status,
                is_active: row.is_active,
                balance: row.balance,
                wallet_balance: row.wallet_balance,
                commission_rate: row.commission_rate,
                reseller_id: row.reseller_id,
            },
            listed: row.listed,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            changed_at: row.changed_at,
        }
    }
}

impl StoredRow<Client> {
    /// Its place in the listing.
    #[must_use]
    pub fn cursor(&self) -> NameCursor {
        (self.row.name.clone().unwrap_or_default(), self.row.client_id.clone())
    }
}

/// The clients of one part of a listing, by their names.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list(
    executor: impl PgExecutor<'_>,
    filter: &ListFilter,
    window: &PageWindow<NameCursor>,
) -> Result<Vec<StoredRow<Client>>, DbError> {
    let (after_name, after_id) = window.after.clone().unzip();
    let rows = sqlx::query_as!(
        ClientRow,
        r#"SELECT client_id, name, email, status, is_active, balance, wallet_balance, commission_rate, reseller_id,
                  last_seen_at IS NULL AS "listed!", first_seen_at, changed_at,
                  COALESCE(last_seen_at, lists.read_at) AS "last_seen_at!"
             FROM payshack_clients, payshack_lists lists
            WHERE lists.list = 'clients'
              AND ($1::text IS NULL OR name ILIKE $1 OR client_id ILIKE $1)
              AND ($2::boolean IS NULL OR is_active = $2) AND ($3::boolean IS NULL OR (last_seen_at IS NULL) = $3)
              AND ($4::text IS NULL OR (COALESCE(name, ''), client_id) > ($4, $5::text))
            ORDER BY COALESCE(name, ''), client_id
           OFFSET $6 LIMIT $7"#,
        filter.pattern(),
        filter.is_active,
        filter.listed,
        after_name,
        after_id,
        window.offset,
        window.limit
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(StoredRow::from).collect())
}

/// How many clients a filter finds.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(executor: impl PgExecutor<'_>, filter: &ListFilter) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM payshack_clients
            WHERE ($1::text IS NULL OR name ILIKE $1 OR client_id ILIKE $1)
              AND ($2::boolean IS NULL OR is_active = $2) AND ($3::boolean IS NULL OR (last_seen_at IS NULL) = $3)"#,
        filter.pattern(),
        filter.is_active,
        filter.listed
    )
    .fetch_one(executor)
    .await?;
    Ok(count.unsigned_abs())
}
