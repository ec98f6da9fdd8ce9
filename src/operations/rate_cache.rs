//! The rates that payments are valued by, kept in the process: a sync stores many pages a second, and rates come twice an
//! hour.
//!
//! So a rate may be used a minute later than it was stored; what is valued meanwhile is valued by the one before it. A
//! currency without any is looked up again after a second.
//! Rejected: asking with every page (a round trip more, on the path that decides how fast a sync is).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::db::DbError;
use crate::db::transactions::exchange_rates;
use crate::domain::exchange_rate::Rates;
use crate::domain::money::Currency;

/// How long rates are used before they are looked up again.
const FRESH: Duration = Duration::from_mins(1);
/// The same where one that is wanted is not there. So long after the first rates of a currency were committed, no process
/// takes them for missing any more.
pub(super) const FRESH_WHERE_MISSING: Duration = Duration::from_secs(1);

/// The stored rates, as this process knows them.
#[derive(Debug, Default)]
pub struct StoredRates(Mutex<Option<Lookup>>);

#[derive(Debug, Clone)]
struct Lookup {
    /// When the database was asked: what it had not then may have come before it answered.
    at: Instant,
    currencies: BTreeSet<Currency>,
    rates: Arc<Rates>,
}

impl StoredRates {
    /// The rates, those of `currencies` among them as far as there are any.
    ///
    /// # Errors
    /// [`DbError`] where the database cannot be asked, or holds an impossible row.
    pub async fn find(
        &self,
        connection: &mut PgConnection,
        currencies: BTreeSet<Currency>,
    ) -> Result<Arc<Rates>, DbError> {
        match self.last().filter(|last| last.serves(&currencies)) {
            Some(last) => Ok(last.rates),
            None => self.look_up(connection, currencies).await,
        }
    }

    /// The same, straight from the database: for whoever has just stored some.
    ///
    /// # Errors
    /// [`DbError`] where the database cannot be asked, or holds an impossible row.
    pub async fn look_up(
        &self,
        connection: &mut PgConnection,
        mut currencies: BTreeSet<Currency>,
    ) -> Result<Arc<Rates>, DbError> {
        currencies.extend(self.last().into_iter().flat_map(|last| last.currencies));
        let names: Vec<String> = currencies.iter().map(ToString::to_string).collect();
        let at = Instant::now();
        let rates: Arc<Rates> = Arc::new(exchange_rates::list(connection, &names).await?.into_iter().collect());
        let lookup = Lookup { at, currencies, rates: Arc::clone(&rates) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(lookup);
        Ok(rates)
    }

    fn last(&self) -> Option<Lookup> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lookup {
    fn serves(&self, currencies: &BTreeSet<Currency>) -> bool {
        let missing = currencies.iter().any(|currency| !self.rates.contains(currency));
        let fresh = if missing { FRESH_WHERE_MISSING } else { FRESH };
        currencies.is_subset(&self.currencies) && self.at.elapsed() < fresh
    }
}
