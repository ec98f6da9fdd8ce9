//! Caches the stored exchange rates in the process: a sync stores many pages per second, and rates change twice an hour.
//!
//! So a new rate may be used up to a minute after it was stored; until then transactions are valued at the previous rate.
//! A currency without any rate is looked up again after a second. Rejected: a query per page, an additional round trip on
//! the path that limits the speed of syncs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::db::DbError;
use crate::db::transactions::exchange_rates;
use crate::domain::exchange_rate::Rates;
use crate::domain::money::Currency;

const TTL: Duration = Duration::from_mins(1);
/// The time to live if a requested currency has no rate. Once this time has passed after the first rates of a currency
/// were committed, no process considers them missing.
pub(super) const MISSING_TTL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct RateCache(Mutex<Option<Entry>>);

#[derive(Debug, Clone)]
struct Entry {
    /// When the query started: rates that it did not find may have been stored before it returned.
    loaded_at: Instant,
    currencies: BTreeSet<Currency>,
    rates: Arc<Rates>,
}

impl RateCache {
    /// The rates of at least `currencies`, as far as they are stored.
    pub async fn get(
        &self,
        connection: &mut PgConnection,
        currencies: BTreeSet<Currency>,
    ) -> Result<Arc<Rates>, DbError> {
        match self.entry().filter(|entry| entry.is_valid_for(&currencies)) {
            Some(entry) => Ok(entry.rates),
            None => self.reload(connection, currencies).await,
        }
    }

    /// The same, read from the database: for a caller that has just stored rates.
    pub async fn reload(
        &self,
        connection: &mut PgConnection,
        mut currencies: BTreeSet<Currency>,
    ) -> Result<Arc<Rates>, DbError> {
        currencies.extend(self.entry().into_iter().flat_map(|entry| entry.currencies));
        let names: Vec<String> = currencies.iter().map(ToString::to_string).collect();
        let loaded_at = Instant::now();
        let rates: Arc<Rates> = Arc::new(exchange_rates::list(connection, &names).await?.into_iter().collect());
        let entry = Entry { loaded_at, currencies, rates: Arc::clone(&rates) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        Ok(rates)
    }

    fn entry(&self) -> Option<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Entry {
    fn is_valid_for(&self, currencies: &BTreeSet<Currency>) -> bool {
        let missing = currencies.iter().any(|currency| !self.rates.contains(currency));
        let ttl = if missing { MISSING_TTL } else { TTL };
        currencies.is_subset(&self.currencies) && self.loaded_at.elapsed() < ttl
    }
}
