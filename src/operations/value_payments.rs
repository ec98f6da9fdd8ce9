//! Values payments that were stored before a rate of their currency was known.
//!
//! By the same rule as when they are stored, a batch a transaction: writers of the source take turns, the metrics move by
//! the difference. Only payments without any rate are looked at, so that what a record said of itself is never touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::find_rates::StoredRates;
use super::publish_events::publish_events;
use crate::db::unvalued::{self, Group, Place, Unvalued};
use crate::db::{DbError, claims, events, rollups, transactions};
use crate::domain::event::Event;
use crate::domain::exchange_rate::{REACH_DAYS, Rates, Valuation};
use crate::domain::job::Claim;
use crate::domain::money::Currency;
use crate::domain::rollup::{Deltas, Measures, Share};
use crate::wire::Wire;

/// How many payments are valued in one transaction: syncs of the source wait for it.
const BATCH: u16 = 500;

/// Values the payments of these currencies that are no older than a rate reaches, and says how many there were.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now: the batch was not written. [`DbError`] where the database
/// refuses.
pub async fn value_payments(
    pool: &PgPool,
    wire: &Wire,
    rates: &StoredRates,
    claim: &Claim,
    currencies: BTreeSet<Currency>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let since = now - TimeDelta::days(REACH_DAYS);
    let groups = unvalued::list_groups(pool, &currencies, since).await?;
    let wanted = groups.iter().map(|group| group.currency.clone()).collect();
    let rates = rates.look_up(&mut *pool.acquire().await?, wanted).await?;
    let mut pass = Pass { pool, wire, rates, claim, now, valued: 0 };
    for group in &groups {
        pass.value_group(group, since).await?;
    }
    Ok(pass.valued)
}

/// A walk over the payments that wait.
struct Pass<'a> {
    pool: &'a PgPool,
    wire: &'a Wire,
    rates: Arc<Rates>,
    claim: &'a Claim,
    now: DateTime<Utc>,
    valued: u64,
}

impl Pass<'_> {
    async fn value_group(&mut self, group: &Group, since: DateTime<Utc>) -> Result<(), DbError> {
        let valued_before = self.valued;
        let mut after = Place { created_at: since, id: Uuid::nil() };
        loop {
            let mut transaction = self.pool.begin().await?;
            transactions::lock_source(&mut transaction, group.source).await?;
            let payments = unvalued::list(&mut transaction, group, after, i64::from(BATCH) + 1).await?;
            let (batch, more) = payments.split_at(payments.len().min(BATCH.into()));
            self.valued += self.value_batch(&mut transaction, &group.currency, batch).await?;
            let told = more.is_empty() && self.valued > valued_before;
            let news = told.then(|| Event::MetricsUpdated { sources: vec![group.source] });
            claims::hold_claim(&mut transaction, self.claim, &json!({"progress": self.valued})).await?;
            let recorded = events::insert(&mut transaction, news.into_iter().collect(), self.now).await?;
            transaction.commit().await?;
            publish_events(self.wire, &recorded).await;
            match batch.last() {
                Some(last) if !more.is_empty() => after = last.place,
                _ => return Ok(()),
            }
        }
    }

    /// Gives each payment of the batch its value, where a rate is near enough, and says how many got one.
    async fn value_batch(
        &self,
        connection: &mut PgConnection,
        currency: &Currency,
        batch: &[Unvalued],
    ) -> Result<u64, DbError> {
        let mut deltas = Deltas::default();
        let mut valued = vec![];
        for payment in batch {
            let Some(rate) = self.rates.find(currency, payment.place.created_at) else { continue };
            let valuation = Valuation::by(rate, payment.amount, payment.fee);
            deltas.change(Some(&share(payment, None)), &share(payment, Some(&valuation)));
            valued.push((payment.place.id, valuation));
        }
        unvalued::value(connection, &valued).await?;
        rollups::move_cells(connection, &deltas.into_moves()).await?;
        Ok(valued.len() as u64)
    }
}

fn share(payment: &Unvalued, valuation: Option<&Valuation>) -> Share {
    Share { cell: payment.cell.clone(), measures: Measures::of(payment.amount, payment.fee, valuation) }
}
