//! `sync-payshack-metadata`: reads who takes part at `PayShack`, and what they hold.
//!
//! Three short lists, each read and stored whole, one after the other. A row that cannot be read keeps no other from being
//! stored: it is in the log, counted in the job's result, and told there by its reason. A list that `PayShack` refuses
//! keeps no other from being read; after any other error nothing more is asked, least of all with credentials that were
//! just refused.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::metadata::{Metadata, MetadataList};
use psp_dashboard::operations::store_metadata::{StoredList, store_metadata};
use psp_dashboard::providers::ProviderError;
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

/// How many unreadable rows of a list are told by their reasons in the job's result; the log tells every one.
const TOLD: usize = 20;

/// Reads the lists.
pub struct SyncPayshackMetadata {
    context: Arc<JobContext>,
}

impl SyncPayshackMetadata {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }

    async fn read(&self, list: MetadataList) -> Result<Metadata, ProviderError> {
        let payshack = &self.context.payshack;
        Ok(match list {
            MetadataList::Clients => Metadata::Clients(payshack.clients().await?),
            MetadataList::Resellers => Metadata::Resellers(payshack.resellers().await?),
            MetadataList::ServiceProviders => Metadata::ServiceProviders(payshack.service_providers().await?),
        })
    }

    async fn store(&self, job: &ClaimedJob, metadata: &Metadata, place: usize) -> Result<Value, JobError> {
        let JobContext { pool, clock, .. } = &*self.context;
        let progress = json!({"progress": place + 1, "total": MetadataList::ALL.len()});
        let stored = store_metadata(pool, &job.claim, metadata, &progress, clock.now()).await?;
        let list = metadata.list().as_str();
        for row in metadata.unreadable() {
            tracing::warn!(
                list,
                id = row.id,
                reason = row.reason,
                "a row of PayShack's cannot be read and was left out"
            );
        }
        tracing::info!(list, seen = stored.seen(), ?stored, "a list of PayShack's was read");
        Ok(told(metadata, &stored))
    }
}

#[async_trait]
impl Handler for SyncPayshackMetadata {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let mut result = serde_json::Map::new();
        let mut refusal = None;
        for (place, list) in MetadataList::ALL.into_iter().enumerate() {
            match self.read(list).await {
                Ok(metadata) => {
                    result.insert(list.as_str().to_owned(), self.store(job, &metadata, place).await?);
                }
                Err(error @ ProviderError::Refused { .. }) => refusal = refusal.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        refusal.map_or(Ok(Value::Object(result)), |error| Err(error.into()))
    }
}

/// What became of a list, for whoever looks at the job.
fn told(metadata: &Metadata, stored: &StoredList) -> Value {
    let unreadable = metadata.unreadable().iter().take(TOLD);
    json!({
        "seen": stored.seen(),
        "inserted": stored.inserted,
        "updated": stored.updated,
        "unchanged": stored.unchanged,
        "unreadable": stored.unreadable,
        "unreadable_rows": unreadable.map(|row| json!({"id": row.id, "reason": row.reason})).collect::<Vec<_>>(),
        "unlisted": stored.unlisted,
        "balances": stored.balances,
    })
}
