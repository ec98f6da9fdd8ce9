//! Transactions without an exchange rate, stored before one was known.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::column;
use crate::domain::exchange_rate::Valuation;
use crate::domain::metrics::amount_band::AmountBand;
use crate::domain::metrics::cell::{Dimensions, Width};
use crate::domain::money::Currency;
use crate::domain::transaction::Source;

/// Lists those of `currencies` in which a transaction of `source`, created since `since`, has no rate. The `LATERAL` limits every
/// plan to one index lookup per currency.
pub async fn list_currencies(
    connection: &mut PgConnection,
    source: Source,
    currencies: &BTreeSet<Currency>,
    since: DateTime<Utc>,
) -> Result<BTreeSet<Currency>, DbError> {
    let names = sqlx::query_scalar!(
        r#"SELECT currency AS "currency!"
             FROM UNNEST($2::text[]) AS candidate (currency)
            CROSS JOIN LATERAL (
                  SELECT FROM transactions
                   WHERE source = $1 AND transactions.currency = candidate.currency
                     AND exchange_rate IS NULL AND created_at >= $3
                   LIMIT 1) AS missing"#,
        source.as_str(),
        &column(currencies, Currency::as_str) as &[&str],
        since
    )
    .fetch_all(connection)
    .await?;
    let currencies = names.into_iter().map(|name| name.parse());
    currencies
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::impossible("transactions.currency", format!("{error}")))
}

/// A transaction's position in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillPosition {
    pub created_at: DateTime<Utc>,
    pub id: Uuid,
}

#[derive(Debug, Clone, PartialEq)]
pub struct UnvaluedTransaction {
    pub position: BackfillPosition,
    pub amount: Decimal,
    pub fee: Option<Decimal>,
    pub dimensions: Dimensions,
}

/// Oldest first, at most `limit`.
pub async fn list(
    connection: &mut PgConnection,
    source: Source,
    currency: &Currency,
    after: BackfillPosition,
    limit: i64,
) -> Result<Vec<UnvaluedTransaction>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, kind, project, merchant_id, country, payment_method, status, amount, fee, created_at
             FROM transactions
            WHERE source = $1 AND currency = $2 AND exchange_rate IS NULL AND (created_at, id) > ($3, $4)
            ORDER BY created_at, id LIMIT $5"#,
        source.as_str(),
        currency.as_str(),
        after.created_at,
        after.id,
        limit
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let dimensions = Dimensions {
                quarter: Width::Quarter.start(row.created_at),
                source,
                kind: row.kind.try_into()?,
                project: row.project.unwrap_or_default(),
                merchant_id: row.merchant_id.unwrap_or_default(),
                country: row.country.unwrap_or_default(),
                payment_method: row.payment_method.unwrap_or_default(),
                amount_band: AmountBand::from_amount(row.amount),
                currency: currency.to_string(),
                status: row.status.try_into()?,
            };
            let position = BackfillPosition { created_at: row.created_at, id: row.id };
            Ok(UnvaluedTransaction { position, amount: row.amount, fee: row.fee, dimensions })
        })
        .collect()
}

/// Sets the valuations of transactions without a rate.
///
/// # Errors
/// [`DbError::Conflict`] if one has a rate now; the transaction must not be committed then.
pub async fn set_valuations(connection: &mut PgConnection, valued: &[(Uuid, Valuation)]) -> Result<(), DbError> {
    let dollars = |field: fn(&Valuation) -> Option<Decimal>| -> Vec<Option<Decimal>> {
        valued.iter().map(|(_, valuation)| field(valuation)).collect()
    };
    let written = sqlx::query!(
        r#"UPDATE transactions
              SET exchange_rate = valuation.exchange_rate, amount_usd = valuation.amount_usd, fee_usd = valuation.fee_usd,
                  rate_origin = valuation.rate_origin, rate_at = valuation.rate_at
             FROM UNNEST($1::uuid[], $2::numeric[], $3::numeric[], $4::numeric[], $5::text[], $6::timestamptz[])
                  AS valuation (id, exchange_rate, amount_usd, fee_usd, rate_origin, rate_at)
            WHERE transactions.id = valuation.id AND transactions.exchange_rate IS NULL"#,
        &column(valued, |(id, _)| *id),
        &column(valued, |(_, valuation)| valuation.exchange_rate),
        &dollars(|valuation| valuation.amount_usd) as &[Option<Decimal>],
        &dollars(|valuation| valuation.fee_usd) as &[Option<Decimal>],
        &column(valued, |(_, valuation)| valuation.origin.as_str()) as &[&str],
        &column(valued, |(_, valuation)| valuation.origin.fetched_at())
            as &[Option<DateTime<Utc>>],
    )
    .execute(connection)
    .await?;
    if written.rows_affected() == valued.len() as u64 { Ok(()) } else { Err(DbError::Conflict("a transaction")) }
}
