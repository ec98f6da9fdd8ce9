//! What clients and resellers held, and when.

use chrono::{DateTime, NaiveTime, Utc};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::{PageWindow, TimeCursor};
use crate::domain::metadata::{Balance, BalanceKind, OwnerKind};
use crate::domain::money::Currency;

/// Records those of the balances that differ from what was last recorded, or of which nothing was recorded on this day
/// (UTC) yet, and says how many were.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn insert_due(
    connection: &mut PgConnection,
    balances: &[Balance<'_>],
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let ids: Vec<Uuid> = balances.iter().map(|_| Uuid::now_v7()).collect();
    let (currency, today) = (Currency::inr(), now.date_naive().and_time(NaiveTime::MIN).and_utc());
    let recorded = sqlx::query!(
        r#"INSERT INTO payshack_balances (id, owner_kind, owner_id, balance_kind, amount, currency, recorded_at)
           SELECT told.id, told.owner_kind, told.owner_id, told.balance_kind, told.amount, $6, $7
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::numeric[])
                      AS told (id, owner_kind, owner_id, balance_kind, amount)
             LEFT JOIN LATERAL (
                      SELECT amount, recorded_at FROM payshack_balances kept
                       WHERE kept.owner_kind = told.owner_kind AND kept.owner_id = told.owner_id
                         AND kept.balance_kind = told.balance_kind
                       ORDER BY recorded_at DESC, id DESC LIMIT 1) last ON true
            WHERE last.amount IS DISTINCT FROM told.amount OR last.recorded_at < $8"#,
        &ids,
        &balances.iter().map(|balance| balance.owner_kind.as_str()).collect::<Vec<_>>() as &[&str],
        &balances.iter().map(|balance| balance.owner_id).collect::<Vec<_>>() as &[&str],
        &balances.iter().map(|balance| balance.kind.as_str()).collect::<Vec<_>>() as &[&str],
        &balances.iter().map(|balance| balance.amount).collect::<Vec<_>>(),
        currency.as_str(),
        now,
        today
    )
    .execute(connection)
    .await?;
    Ok(recorded.rows_affected())
}

/// Which balances are looked for. An empty list stands for every value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BalanceFilter {
    /// Whose.
    pub owner_kind: Option<OwnerKind>,
    /// Of these clients, or of those resellers.
    pub client_ids: Vec<String>,
    /// Of these resellers, or of those clients.
    pub reseller_ids: Vec<String>,
    /// Which of an owner's.
    pub balance_kind: Option<BalanceKind>,
    /// Recorded then or later.
    pub from: Option<DateTime<Utc>>,
    /// Recorded before.
    pub until: Option<DateTime<Utc>>,
}

/// A balance as it was recorded.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct RecordedBalance {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    #[sqlx(try_from = "String")]
    pub owner_kind: OwnerKind,
    /// The owner's id.
    pub owner_id: String,
    /// The owner's name, as it is now.
    pub owner_name: Option<String>,
    /// Which of the owner's.
    #[sqlx(try_from = "String")]
    pub balance_kind: BalanceKind,
    /// How much.
    pub amount: Decimal,
    /// Of what.
    pub currency: String,
    /// When it was read.
    pub recorded_at: DateTime<Utc>,
}

impl RecordedBalance {
    /// Its place in the listing.
    #[must_use]
    pub fn cursor(&self) -> TimeCursor {
        (self.recorded_at, self.id)
    }
}

/// The balances of one part of a listing, the newest first.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list(
    pool: &PgPool,
    filter: &BalanceFilter,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<RecordedBalance>, DbError> {
    let mut query = QueryBuilder::new(
        "SELECT id, owner_kind, owner_id,
                CASE owner_kind
                    WHEN 'client' THEN (SELECT name FROM payshack_clients WHERE client_id = owner_id)
                    ELSE (SELECT name FROM payshack_resellers WHERE reseller_id = owner_id)
                END AS owner_name,
                balance_kind, amount, currency, recorded_at
           FROM payshack_balances WHERE true",
    );
    filter.push(&mut query);
    if let Some((recorded_at, id)) = window.after {
        query.push(" AND (recorded_at, id) < (").push_bind(recorded_at).push(", ").push_bind(id).push(")");
    }
    query.push(" ORDER BY recorded_at DESC, id DESC");
    window.push_limits(&mut query);
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

/// Counts what `filter` finds, one by one.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(pool: &PgPool, filter: &BalanceFilter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM payshack_balances WHERE true");
    filter.push(&mut query);
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS found");
    let found: i64 = query.build_query_scalar().persistent(false).fetch_one(pool).await?;
    Ok(Count::from_visited(found.min(MAX_VISITED), found))
}

impl BalanceFilter {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(kind) = self.owner_kind {
            query.push(" AND owner_kind = ").push_bind(kind.as_str());
        }
        if !(self.client_ids.is_empty() && self.reseller_ids.is_empty()) {
            query.push(" AND (owner_kind = 'client' AND owner_id = ANY(").push_bind(self.client_ids.clone());
            query.push(") OR owner_kind = 'reseller' AND owner_id = ANY(").push_bind(self.reseller_ids.clone());
            query.push("))");
        }
        if let Some(kind) = self.balance_kind {
            query.push(" AND balance_kind = ").push_bind(kind.as_str());
        }
        if let Some(from) = self.from {
            query.push(" AND recorded_at >= ").push_bind(from);
        }
        if let Some(until) = self.until {
            query.push(" AND recorded_at < ").push_bind(until);
        }
    }
}
