//! Stores one of PayShack's directory lists (clients, resellers, service providers).
//!
//! Changed rows, rows that are no longer listed, balances that are due for recording, and the time of reading commit
//! together. Storing the same list again changes only that time.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::jobs::claims;
use crate::db::metadata::{MetadataTable, UpsertCounts, balances, lists};
use crate::domain::job::Claim;
use crate::domain::metadata::{Balance, Client, Listing, Metadata, Reseller};

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
    let mut stored = match metadata {
        Metadata::Clients(listing) => store_rows(&mut transaction, listing, now).await,
        Metadata::Resellers(listing) => store_rows(&mut transaction, listing, now).await,
        Metadata::ServiceProviders(listing) => store_rows(&mut transaction, listing, now).await,
    }?;
    let held: Vec<Balance<'_>> = match metadata {
        Metadata::Clients(listing) => listing.distinct().into_iter().flat_map(Client::balances).collect(),
        Metadata::Resellers(listing) => listing.distinct().into_iter().flat_map(Reseller::balances).collect(),
        Metadata::ServiceProviders(_) => vec![],
    };
    stored.balances = balances::insert_due(&mut transaction, &held, now).await?;
    lists::set_read(&mut transaction, metadata.list(), now).await?;
    claims::verify_claim(&mut transaction, claim, progress).await?;
    transaction.commit().await?;
    Ok(stored)
}

async fn store_rows<Row: MetadataTable>(
    connection: &mut PgConnection,
    listing: &Listing<Row>,
    now: DateTime<Utc>,
) -> Result<StoredList, DbError> {
    let UpsertCounts { inserted, updated } = Row::upsert(connection, &listing.distinct(), now).await?;
    let unlisted = Row::mark_unlisted(connection, &listing.ids(), now).await?;
    let unchanged = (listing.rows.len() as u64).saturating_sub(inserted + updated);
    let unreadable = listing.unreadable.len() as u64;
    Ok(StoredList { inserted, updated, unchanged, unreadable, unlisted, balances: 0 })
}

impl StoredList {
    /// The number of rows in the list.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.unreadable
    }
}
