//! Values payments that were stored before a rate of their currency was known.
//!
//! By the same rule as when they are stored, a batch a transaction: writers of the source take turns, the metrics move by
//! the difference. Only payments without any rate are looked at, so that what a record said of itself is never touched.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::publish_events::publish_events;
use super::rate_cache::{FRESH_WHERE_MISSING, StoredRates};
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

/// How many payments are valued in one transaction: syncs of the source wait for it.
const BATCH: u16 = 500;

/// Values the payments of these currencies, whose rates have just been stored, that are no older than a rate reaches, and
/// says how many there were.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now: the batch was not written. [`DbError`] where the database
/// refuses.
pub async fn value_payments(
    pool: &PgPool,
    redis: &Redis,
    rates: &StoredRates,
    claim: &Claim,
    currencies: &BTreeSet<Currency>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    // Until then a sync may still store payments without a rate, behind our back.
    tokio::time::sleep(FRESH_WHERE_MISSING).await;
    let mut pass = Pass { pool, redis, claim, now, valued: 0 };
    for source in Source::ALL {
        pass.value_source(source, rates, currencies).await?;
    }
    Ok(pass.valued)
}

/// A walk over the payments that wait.
struct Pass<'a> {
    pool: &'a PgPool,
    redis: &'a Redis,
    claim: &'a Claim,
    now: DateTime<Utc>,
    valued: u64,
}

impl Pass<'_> {
    async fn value_source(
        &mut self,
        source: Source,
        rates: &StoredRates,
        currencies: &BTreeSet<Currency>,
    ) -> Result<(), DbError> {
        let since = self.now - TimeDelta::days(MAX_RATE_DISTANCE_DAYS);
        let mut turn = self.pool.begin().await?;
        // Whoever stores payments of the source at the moment has committed them by our turn.
        transactions::lock_source(&mut turn, source).await?;
        let waiting = missing_usd::list_currencies(&mut turn, source, currencies, since).await?;
        let rates = rates.look_up(&mut turn, waiting.clone()).await?;
        turn.commit().await?;
        for currency in &waiting {
            self.value_all(source, currency, &rates, since).await?;
        }
        Ok(())
    }

    async fn value_all(
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
            let payments = missing_usd::list(&mut transaction, source, currency, after, i64::from(BATCH) + 1).await?;
            let (batch, more) = payments.split_at(payments.len().min(BATCH.into()));
            self.valued += value_batch(&mut transaction, source, currency, batch, rates).await?;
            let told = more.is_empty() && self.valued > valued_before;
            let news = told.then(|| Event::MetricsUpdated { sources: vec![source] });
            claims::verify_claim(&mut transaction, self.claim, &json!({"progress": self.valued})).await?;
            let recorded = events::insert(&mut transaction, news.into_iter().collect(), self.now).await?;
            transaction.commit().await?;
            publish_events(self.redis, &recorded).await;
            match batch.last() {
                Some(last) if !more.is_empty() => after = last.position,
                _ => return Ok(()),
            }
        }
    }
}

/// Gives each payment of the batch its value, where a rate is near enough, and says how many got one.
async fn value_batch(
    connection: &mut PgConnection,
    source: Source,
    currency: &Currency,
    batch: &[UnvaluedTransaction],
    rates: &Rates,
) -> Result<u64, DbError> {
    let mut deltas = Deltas::default();
    let mut valued = vec![];
    for payment in batch {
        let Some(rate) = rates.find(currency, payment.position.created_at) else { continue };
        let valuation = Valuation::at_stored_rate(rate, payment.amount, payment.fee);
        deltas.change(Some(&share(payment, None)), &share(payment, Some(&valuation)));
        valued.push((payment.position.id, valuation));
    }
    missing_usd::set_valuations(connection, &valued).await?;
    data_version::increment(connection, source, &deltas.days()).await?;
    cells::move_cells(connection, &deltas.into_cell_deltas()).await?;
    Ok(valued.len() as u64)
}

fn share(payment: &UnvaluedTransaction, valuation: Option<&Valuation>) -> Contribution {
    Contribution {
        dimensions: payment.dimensions.clone(),
        measures: Measures::new(payment.amount, payment.fee, valuation),
    }
}
