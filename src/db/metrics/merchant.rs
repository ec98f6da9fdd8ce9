//! One merchant of a project: its first and last payment, and its unresolved discrepancies.
//!
//! The first and the last payment are found by the cells: a merchant may be in several projects, and be rare in this one, so that
//! the index of merchants alone could lead through most of its payments.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::reconciliation::facts;
use crate::domain::access::ProjectScope;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// A merchant of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MerchantKey<'a> {
    pub project: &'a str,
    pub merchant_id: &'a str,
}

/// The last payment of a merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPayment {
    pub id: Uuid,
    pub source: Source,
    pub kind: Kind,
    pub amount: Decimal,
    pub currency: String,
    pub status: Status,
    pub original_status: Option<String>,
    pub payment_method: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// The start of the hour of the merchant's first payment; `None` if it has none.
pub async fn find_first_hour(pool: &PgPool, merchant: MerchantKey<'_>) -> Result<Option<DateTime<Utc>>, DbError> {
    let hour = sqlx::query_scalar!(
        r#"SELECT bucket FROM metric_cells
            WHERE facet = 'merchant' AND width = 'hour' AND project = $1 AND member = $2 AND count > 0
            ORDER BY bucket LIMIT 1"#,
        merchant.project,
        merchant.merchant_id
    );
    Ok(hour.fetch_optional(pool).await?)
}

/// `None` if the merchant has no payment.
pub async fn find_last_payment(pool: &PgPool, merchant: MerchantKey<'_>) -> Result<Option<LastPayment>, DbError> {
    let row = sqlx::query!(
        r#"SELECT id, source, kind, amount, currency, status, original_status, payment_method, created_at
             FROM transactions,
                  LATERAL (SELECT bucket FROM metric_cells
                            WHERE facet = 'merchant' AND width = 'hour' AND project = $1 AND member = $2 AND count > 0
                            ORDER BY bucket DESC LIMIT 1) AS last
            WHERE transactions.merchant_id = $2 AND transactions.project = $1
              AND created_at >= last.bucket AND created_at < last.bucket + interval '1 hour'
            ORDER BY created_at DESC, id DESC LIMIT 1"#,
        merchant.project,
        merchant.merchant_id
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(LastPayment {
            id: row.id,
            source: row.source.try_into()?,
            kind: row.kind.try_into()?,
            amount: row.amount,
            currency: row.currency,
            status: row.status.try_into()?,
            original_status: row.original_status,
            payment_method: row.payment_method,
            created_at: row.created_at,
        })
    })
    .transpose()
}

/// Unresolved discrepancies of a merchant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct UnresolvedOfMerchant {
    pub count: i64,
    /// The oldest day.
    pub oldest: Option<NaiveDate>,
}

/// Those that are in `scope`, and about a payment of the merchant. Unresolved ones are few, so each is looked at.
pub async fn count_unresolved(
    pool: &PgPool,
    merchant: MerchantKey<'_>,
    scope: &ProjectScope,
) -> Result<UnresolvedOfMerchant, DbError> {
    let mut query = QueryBuilder::new(
        "SELECT count(*) AS count, min(recon_date) AS oldest FROM discrepancies \
          WHERE state IN ('open', 'acknowledged') AND EXISTS (SELECT FROM transactions AS payment \
                WHERE payment.id IN (vima_txn_id, payshack_txn_id) AND payment.project = ",
    );
    query.push_bind(merchant.project).push(" AND payment.merchant_id = ").push_bind(merchant.merchant_id).push(")");
    facts::push_scope(&mut query, scope);
    Ok(query.build_query_as().persistent(false).fetch_one(pool).await?)
}
