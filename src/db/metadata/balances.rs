//! The history of balances of clients and resellers.

use chrono::{DateTime, NaiveTime, Utc};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::column;
use crate::domain::metadata::{Balance, BalanceKind, OwnerKind};
use crate::domain::money::Currency;

/// Records the balances that differ from their last record, or have none of this day (UTC). Returns how many were recorded.
pub async fn insert_due(
    connection: &mut PgConnection,
    balances: &[Balance<'_>],
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let ids: Vec<Uuid> = balances.iter().map(|_| Uuid::now_v7()).collect();
    let (currency, today) = (Currency::inr(), now.date_naive().and_time(NaiveTime::MIN).and_utc());
    let recorded = sqlx::query!(
        r#"INSERT INTO payshack_balances (id, owner_kind, owner_id, balance_kind, amount, currency, recorded_at)
           SELECT incoming.id, incoming.owner_kind, incoming.owner_id, incoming.balance_kind, incoming.amount, $6, $7
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::numeric[])
                      AS incoming (id, owner_kind, owner_id, balance_kind, amount)
             LEFT JOIN LATERAL (
                      SELECT amount, recorded_at FROM payshack_balances existing
                       WHERE existing.owner_kind = incoming.owner_kind AND existing.owner_id = incoming.owner_id
                         AND existing.balance_kind = incoming.balance_kind
                       ORDER BY recorded_at DESC, id DESC LIMIT 1) last ON true
            WHERE last.amount IS DISTINCT FROM incoming.amount OR last.recorded_at < $8"#,
        &ids,
        &column(balances, |balance| balance.owner_kind.as_str()) as &[&str],
        &column(balances, |balance| balance.owner_id) as &[&str],
        &column(balances, |balance| balance.kind.as_str()) as &[&str],
        &column(balances, |balance| balance.amount),
        currency.as_str(),
        now,
        today
    )
    .execute(connection)
    .await?;
    Ok(recorded.rows_affected())
}

/// An empty list matches every value; so does `None`. A balance of any listed client or reseller matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BalanceFilter {
    pub owner_kind: Option<OwnerKind>,
    pub client_ids: Vec<String>,
    pub reseller_ids: Vec<String>,
    pub balance_kind: Option<BalanceKind>,
    /// Recorded at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    pub until: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct RecordedBalance {
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub owner_kind: OwnerKind,
    pub owner_id: String,
    /// The owner's current name.
    pub owner_name: Option<String>,
    #[sqlx(try_from = "String")]
    pub balance_kind: BalanceKind,
    pub amount: Decimal,
    pub currency: String,
    pub recorded_at: DateTime<Utc>,
}

impl RecordedBalance {
    #[must_use]
    pub fn cursor(&self) -> TimeCursor {
        (self.recorded_at, self.id)
    }
}

/// Newest first.
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
    window.push_newest_first(&mut query, "recorded_at");
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

pub async fn count(pool: &PgPool, filter: &BalanceFilter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM payshack_balances WHERE true");
    filter.push(&mut query);
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS found");
    let found: i64 = query.build_query_scalar().persistent(false).fetch_one(pool).await?;
    Ok(Count::from_visited(found.min(MAX_VISITED), found))
}

/// Deletes at most `limit` records from before `time`, except the last of each balance.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM payshack_balances WHERE id IN (
               SELECT id FROM payshack_balances AS record
                WHERE recorded_at < $1
                  AND EXISTS (SELECT 1 FROM payshack_balances AS later
                               WHERE later.owner_kind = record.owner_kind AND later.owner_id = record.owner_id
                                 AND later.balance_kind = record.balance_kind
                                 AND later.recorded_at > record.recorded_at)
                LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
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
