//! Adds the value in US dollars to transactions that were stored before a rate of their currency was known.
//!
//! It follows the same rules as storing them, one batch per database transaction: writers of a source are serialized, and
//! the metrics change by the difference. Only transactions without any rate are read, so a rate of the provider's record is
//! never overwritten.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::publish_events::publish_events;
use super::rate_cache::{MISSING_TTL, RateCache};
use crate::db::jobs::claims;
use crate::db::metrics::{cells, data_version};
use crate::db::transactions::missing_usd;
use crate::db::transactions::missing_usd::{BackfillPosition, UnvaluedTransaction};
use crate::db::{DbError, events, transactions};
use crate::domain::event::Event;
use crate::domain::exchange_rate::{MAX_RATE_DISTANCE_DAYS, Rates, Valuation};
use crate::domain::job::Claim;
use crate::domain::metrics::cell::{Contribution, Deltas, Measures};
use crate::domain::money::Currency;
use crate::domain::transaction::Source;
use crate::redis::Redis;

/// The size of a batch, which syncs of the source have to wait for.
const BATCH_SIZE: u16 = 500;

/// Values the transactions of `currencies`, whose first rates have just been stored, as far back as a rate applies. Returns
/// how many were valued.
pub async fn backfill_usd(
    pool: &PgPool,
    redis: &Redis,
    rates: &RateCache,
    claim: &Claim,
    currencies: &BTreeSet<Currency>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    // Until then, a sync may still store transactions without a rate.
    tokio::time::sleep(MISSING_TTL).await;
    let mut backfill = Backfill { pool, redis, claim, now, valued: 0 };
    for source in Source::ALL {
        backfill.value_source(source, rates, currencies).await?;
    }
    Ok(backfill.valued)
}

struct Backfill<'a> {
    pool: &'a PgPool,
    redis: &'a Redis,
    claim: &'a Claim,
    now: DateTime<Utc>,
    valued: u64,
}

impl Backfill<'_> {
    async fn value_source(
        &mut self,
        source: Source,
        rates: &RateCache,
        currencies: &BTreeSet<Currency>,
    ) -> Result<(), DbError> {
        let since = self.now - TimeDelta::days(MAX_RATE_DISTANCE_DAYS);
        let mut transaction = self.pool.begin().await?;
        // Waits until a writer that is storing transactions of the source has committed.
        transactions::lock_source(&mut transaction, source).await?;
        let unvalued = missing_usd::list_currencies(&mut transaction, source, currencies, since).await?;
        let rates = rates.reload(&mut transaction, unvalued.clone()).await?;
        transaction.commit().await?;
        for currency in &unvalued {
            self.value_currency(source, currency, &rates, since).await?;
        }
        Ok(())
    }

    async fn value_currency(
        &mut self,
        source: Source,
        currency: &Currency,
        rates: &Rates,
        since: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let valued_before = self.valued;
        let mut after = BackfillPosition { created_at: since, id: Uuid::nil() };
        loop {
            let mut transaction = self.pool.begin().await?;
            transactions::lock_source(&mut transaction, source).await?;
            let unvalued =
                missing_usd::list(&mut transaction, source, currency, after, i64::from(BATCH_SIZE) + 1).await?;
            let (batch, more) = unvalued.split_at(unvalued.len().min(BATCH_SIZE.into()));
            self.valued += value_batch(&mut transaction, source, currency, batch, rates).await?;
            let metrics_changed = more.is_empty() && self.valued > valued_before;
            let event = metrics_changed.then(|| Event::MetricsUpdated { sources: vec![source] });
            claims::verify_claim(&mut transaction, self.claim, &json!({"progress": self.valued})).await?;
            let recorded = events::insert(&mut transaction, event.into_iter().collect(), self.now).await?;
            transaction.commit().await?;
            publish_events(self.redis, &recorded).await;
            match batch.last() {
                Some(last) if !more.is_empty() => after = last.position,
                _ => return Ok(()),
            }
        }
    }
}

/// Values the transactions of the batch for which a rate is close enough, and returns how many.
async fn value_batch(
    connection: &mut PgConnection,
    source: Source,
    currency: &Currency,
    batch: &[UnvaluedTransaction],
    rates: &Rates,
) -> Result<u64, DbError> {
    let mut deltas = Deltas::default();
    let mut valued = vec![];
    for transaction in batch {
        let Some(rate) = rates.find(currency, transaction.position.created_at) else { continue };
        let valuation = Valuation::at_stored_rate(rate, transaction.amount, transaction.fee);
        deltas.change(Some(&contribution(transaction, None)), &contribution(transaction, Some(&valuation)));
        valued.push((transaction.position.id, valuation));
    }
    missing_usd::set_valuations(connection, &valued).await?;
    data_version::increment(connection, source, &deltas.days()).await?;
    cells::add_to_cells(connection, &deltas.into_cell_deltas()).await?;
    Ok(valued.len() as u64)
}

fn contribution(transaction: &UnvaluedTransaction, valuation: Option<&Valuation>) -> Contribution {
    Contribution {
        dimensions: transaction.dimensions.clone(),
        measures: Measures::new(transaction.amount, transaction.fee, valuation),
    }
}
