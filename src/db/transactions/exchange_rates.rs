//! Exchange rates to US dollars with the time of their retrieval, and the origin of a transaction's rate.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::domain::exchange_rate::{ExchangeRate, RateOrigin};
use crate::domain::money::Currency;

/// An unchanged rate is stored again after this time. Most feeds change once a day and are fetched every half hour, but a rate
/// that never changes must not look outdated.
const STORE_AGAIN_AFTER: Duration = Duration::from_hours(24);

/// Stores rates fetched at `now` (US dollars per unit), and returns how many of them are new.
pub async fn insert(
    connection: &mut PgConnection,
    fetched: &BTreeMap<Currency, Decimal>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let stored = sqlx::query!(
        r#"INSERT INTO exchange_rates (currency, fetched_at, usd)
           SELECT currency, $3, usd FROM UNNEST($1::text[], $2::numeric[]) AS fetched (currency, usd)
            WHERE usd IS DISTINCT FROM (
                  SELECT usd FROM exchange_rates AS stored
                   WHERE stored.currency = fetched.currency AND fetched_at > $4 ORDER BY fetched_at DESC LIMIT 1)
               ON CONFLICT (currency, fetched_at) DO NOTHING"#,
        &fetched.keys().map(Currency::as_str).collect::<Vec<_>>() as &[&str],
        &fetched.values().copied().collect::<Vec<_>>(),
        now,
        now - STORE_AGAIN_AFTER,
    )
    .execute(connection)
    .await?;
    Ok(stored.rows_affected())
}

pub async fn list(
    connection: &mut PgConnection,
    currencies: &[String],
) -> Result<Vec<(Currency, ExchangeRate)>, DbError> {
    let rows =
        sqlx::query!("SELECT currency, fetched_at, usd FROM exchange_rates WHERE currency = ANY($1)", currencies)
            .fetch_all(connection)
            .await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.currency.parse();
            let currency = currency.map_err(|_| DbError::impossible("exchange_rates.currency", row.currency))?;
            Ok((currency, ExchangeRate { usd: row.usd, fetched_at: row.fetched_at }))
        })
        .collect()
}

/// Deletes at most `limit` rates fetched before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM exchange_rates WHERE (currency, fetched_at) IN (
               SELECT currency, fetched_at FROM exchange_rates WHERE fetched_at < $1 LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}

/// Reads the columns `rate_origin` and `rate_at` of a transaction; `None` if it has no rate.
pub(in crate::db) fn read_origin(
    name: Option<&str>,
    at: Option<DateTime<Utc>>,
) -> Result<Option<RateOrigin>, sqlx::Error> {
    let Some(name) = name else { return Ok(None) };
    match RateOrigin::from_parts(name, at) {
        Some(origin) => Ok(Some(origin)),
        None => Err(sqlx::Error::Decode(DbError::impossible("transactions.rate_origin", name).into())),
    }
}
