//! Stores fetched exchange rates.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::jobs::claims;
use crate::db::transactions::exchange_rates;
use crate::domain::job::Claim;
use crate::domain::money::Currency;

/// Stores the rates fetched at `now`, in US dollars per unit, and returns how many of them are new.
pub async fn store_rates(
    pool: &PgPool,
    claim: &Claim,
    fetched: &BTreeMap<Currency, Decimal>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let mut transaction = pool.begin().await?;
    let stored = exchange_rates::insert(&mut transaction, fetched, now).await?;
    claims::verify_claim(&mut transaction, claim, &json!({"progress": 0})).await?;
    transaction.commit().await?;
    Ok(stored)
}
