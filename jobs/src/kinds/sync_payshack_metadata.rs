//! `sync-payshack-metadata`: reads the PayShack directory: clients, resellers, service providers, and balances.
//!
//! Each of the three lists is short, and is read and stored as a whole. A row that cannot be parsed is logged, counted and
//! reported in the job's result; the other rows are stored. If PayShack refuses a list, the other lists are still read.
//! After any other error nothing more is requested, in particular not with credentials that were just rejected.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{JobKind, SYNC_PAYSHACK_METADATA};
use psp_dashboard::domain::metadata::{Metadata, MetadataList};
use psp_dashboard::operations::store_metadata::{StoredList, store_metadata};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::payshack::PayshackClient;
use serde_json::{Value, json};

use crate::handler::{JobHandler, JobResult, NoArgs};
use crate::job_context::JobContext;
use crate::job_error::JobError;

/// How many unreadable rows per list the job's result contains. The log contains all of them.
const MAX_REPORTED_ROWS: usize = 20;

pub struct SyncPayshackMetadata;

impl JobHandler for SyncPayshackMetadata {
    const KIND: &'static JobKind = &SYNC_PAYSHACK_METADATA;
    type Args = NoArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, _args: NoArgs) -> JobResult {
        let mut result = serde_json::Map::new();
        let mut refusal = None;
        for (index, list) in MetadataList::ALL.into_iter().enumerate() {
            match fetch(&context.payshack, list).await {
                Ok(metadata) => {
                    result.insert(list.as_str().to_owned(), store(context, job, &metadata, index + 1).await?);
                }
                Err(error @ ProviderError::Refused { .. }) => refusal = refusal.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        refusal.map_or(Ok(Value::Object(result)), |error| Err(error.into()))
    }
}

async fn fetch(payshack: &PayshackClient, list: MetadataList) -> Result<Metadata, ProviderError> {
    Ok(match list {
        MetadataList::Clients => Metadata::Clients(payshack.clients().await?),
        MetadataList::Resellers => Metadata::Resellers(payshack.resellers().await?),
        MetadataList::ServiceProviders => Metadata::ServiceProviders(payshack.service_providers().await?),
    })
}

/// Stores the list that is the `number`th of all.
async fn store(context: &JobContext, job: &ClaimedJob, metadata: &Metadata, number: usize) -> Result<Value, JobError> {
    let JobContext { pool, clock, .. } = context;
    let progress = json!({"progress": number, "total": MetadataList::ALL.len()});
    let stored = store_metadata(pool, &job.claim, metadata, &progress, clock.now()).await?;
    let list = metadata.list().as_str();
    for row in metadata.unreadable() {
        tracing::warn!(
            list,
            id = row.id,
            reason = row.reason,
            "skipped a row of a PayShack list that cannot be parsed"
        );
    }
    tracing::info!(list, seen = stored.seen(), ?stored, "PayShack list stored");
    Ok(report(metadata, &stored))
}

/// The part of the job's result about one list.
fn report(metadata: &Metadata, stored: &StoredList) -> Value {
    let unreadable = metadata.unreadable().iter().take(MAX_REPORTED_ROWS);
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
