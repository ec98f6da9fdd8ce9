//! Stores one of `PayShack`'s lists of who takes part, all of it or nothing.
//!
//! What changed, what is no longer listed, the balances that are due and the time of the reading commit together. A list
//! that is stored twice changes nothing but that time.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::jobs::claims;
use crate::db::metadata::{UpsertCounts, balances, clients, lists, resellers, service_providers};
use crate::domain::job::Claim;
use crate::domain::metadata::{Balance, Client, Listing, Metadata, Reseller, ServiceProvider};

/// What became of a list: seen = inserted + updated + unchanged + unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredList {
    /// Rows for the first time.
    pub inserted: u64,
    /// Rows that differed, or are listed again.
    pub updated: u64,
    /// Rows that did not differ, repeats among them.
    pub unchanged: u64,
    /// Rows that could not be read.
    pub unreadable: u64,
    /// Rows that are stored and were listed until now.
    pub unlisted: u64,
    /// Balances that were recorded.
    pub balances: u64,
}

/// Stores `metadata`, and says what became of it.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now: nothing was written. [`DbError`] where the database
/// refuses.
pub async fn store_metadata(
    pool: &PgPool,
    claim: &Claim,
    metadata: &Metadata,
    progress: &Value,
    now: DateTime<Utc>,
) -> Result<StoredList, DbError> {
    let mut transaction = pool.begin().await?;
    let stored = match metadata {
        Metadata::Clients(listing) => store_clients(&mut transaction, listing, now).await,
        Metadata::Resellers(listing) => store_resellers(&mut transaction, listing, now).await,
        Metadata::ServiceProviders(listing) => store_service_providers(&mut transaction, listing, now).await,
    }?;
    lists::set_read(&mut transaction, metadata.list(), now).await?;
    claims::verify_claim(&mut transaction, claim, progress).await?;
    transaction.commit().await?;
    Ok(stored)
}

async fn store_clients(
    connection: &mut PgConnection,
    listing: &Listing<Client>,
    now: DateTime<Utc>,
) -> Result<StoredList, DbError> {
    let rows = listing.distinct();
    let written = clients::upsert(connection, &rows, now).await?;
    let unlisted = clients::mark_unlisted(connection, &listing.ids(), now).await?;
    let held: Vec<Balance<'_>> = rows.iter().flat_map(|client| client.balances()).collect();
    let balances = balances::insert_due(connection, &held, now).await?;
    Ok(StoredList { unlisted, balances, ..StoredList::of(listing, written) })
}

async fn store_resellers(
    connection: &mut PgConnection,
    listing: &Listing<Reseller>,
    now: DateTime<Utc>,
) -> Result<StoredList, DbError> {
    let rows = listing.distinct();
    let written = resellers::upsert(connection, &rows, now).await?;
    let unlisted = resellers::mark_unlisted(connection, &listing.ids(), now).await?;
    let held: Vec<Balance<'_>> = rows.iter().flat_map(|reseller| reseller.balances()).collect();
    let balances = balances::insert_due(connection, &held, now).await?;
    Ok(StoredList { unlisted, balances, ..StoredList::of(listing, written) })
}

async fn store_service_providers(
    connection: &mut PgConnection,
    listing: &Listing<ServiceProvider>,
    now: DateTime<Utc>,
) -> Result<StoredList, DbError> {
    let written = service_providers::upsert(connection, &listing.distinct(), now).await?;
    let unlisted = service_providers::mark_unlisted(connection, &listing.ids(), now).await?;
    Ok(StoredList { unlisted, ..StoredList::of(listing, written) })
}

impl StoredList {
    fn of<Row>(listing: &Listing<Row>, written: UpsertCounts) -> Self {
        let UpsertCounts { inserted, updated } = written;
        let unchanged = (listing.rows.len() as u64).saturating_sub(inserted + updated);
        Self { inserted, updated, unchanged, unreadable: listing.unreadable.len() as u64, ..Self::default() }
    }

    /// Rows that the list had.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.unreadable
    }
}
