//! Stores one of PayShack's directory lists (clients, resellers, service providers).
//!
//! Changed rows, rows that are no longer listed, balances that are due for recording, and the time of reading commit
//! together. Storing the same list again changes only that time.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::jobs::claims;
use crate::db::metadata::{UpsertCounts, balances, clients, lists, resellers, service_providers};
use crate::domain::job::Claim;
use crate::domain::metadata::{Balance, Client, Listing, Metadata, Reseller, ServiceProvider};

/// seen = inserted + updated + unchanged + unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredList {
    pub inserted: u64,
    /// Rows that changed, or are listed again.
    pub updated: u64,
    /// Including repetitions.
    pub unchanged: u64,
    pub unreadable: u64,
    /// Stored rows that the list no longer contains.
    pub unlisted: u64,
    /// Recorded balances.
    pub balances: u64,
}

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
    let upserted = clients::upsert(connection, &rows, now).await?;
    let unlisted = clients::mark_unlisted(connection, &listing.ids(), now).await?;
    let held: Vec<Balance<'_>> = rows.iter().flat_map(|client| client.balances()).collect();
    let balances = balances::insert_due(connection, &held, now).await?;
    Ok(StoredList { unlisted, balances, ..StoredList::new(listing, upserted) })
}

async fn store_resellers(
    connection: &mut PgConnection,
    listing: &Listing<Reseller>,
    now: DateTime<Utc>,
) -> Result<StoredList, DbError> {
    let rows = listing.distinct();
    let upserted = resellers::upsert(connection, &rows, now).await?;
    let unlisted = resellers::mark_unlisted(connection, &listing.ids(), now).await?;
    let held: Vec<Balance<'_>> = rows.iter().flat_map(|reseller| reseller.balances()).collect();
    let balances = balances::insert_due(connection, &held, now).await?;
    Ok(StoredList { unlisted, balances, ..StoredList::new(listing, upserted) })
}

async fn store_service_providers(
    connection: &mut PgConnection,
    listing: &Listing<ServiceProvider>,
    now: DateTime<Utc>,
) -> Result<StoredList, DbError> {
    let upserted = service_providers::upsert(connection, &listing.distinct(), now).await?;
    let unlisted = service_providers::mark_unlisted(connection, &listing.ids(), now).await?;
    Ok(StoredList { unlisted, ..StoredList::new(listing, upserted) })
}

impl StoredList {
    fn new<Row>(listing: &Listing<Row>, UpsertCounts { inserted, updated }: UpsertCounts) -> Self {
        let unchanged = (listing.rows.len() as u64).saturating_sub(inserted + updated);
        Self { inserted, updated, unchanged, unreadable: listing.unreadable.len() as u64, ..Self::default() }
    }

    /// The number of rows in the list.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.unreadable
    }
}
