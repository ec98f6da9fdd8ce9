//! Parses quarantined records again with the current parsers, and stores those that are now readable.
//!
//! They are stored like the records of a page: by version, with status history, metrics and events, under the worker's
//! claim. A replay is not a sync run, because the provider is not queried: changes are recorded without a run. A record that
//! is older than the stored one is ignored, as in a page. Entries that arrive during the replay are not included: the
//! current parsers have already failed to read them.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::publish_events::publish_events;
use super::rate_cache::RateCache;
use super::store_transactions::{change_events, count, store_transactions};
use crate::clock::Clock;
use crate::db::jobs::claims;
use crate::db::sync::quarantine;
use crate::db::sync::quarantine::ReplayBatch;
use crate::db::{DbError, events, transactions};
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::domain::record::Record;
use crate::domain::replay::{Replay, ReplayCounts};
use crate::domain::transaction::{Kind, Source, Transaction};
use crate::domain::upsert::RulesGeneration;
use crate::providers::payshack::{Projects, read_payin, read_payout};
use crate::providers::readable_text;
use crate::providers::vima::read_operation;
use crate::redis::Redis;

/// The number of entries per database transaction: that of the records of a page.
const BATCH_SIZE: usize = 100;

/// How the records are read.
#[derive(Debug, Clone, Copy)]
pub struct ReplayRules<'a> {
    pub projects: &'a Projects,
    pub vima: RulesGeneration,
    pub payshack: RulesGeneration,
}

impl ReplayRules<'_> {
    fn generation(&self, source: Source) -> RulesGeneration {
        match source {
            Source::Vima => self.vima,
            Source::Payshack => self.payshack,
        }
    }
}

/// Replays the entries that `replay` selects. After an error, the batches before it remain stored and released from
/// quarantine.
pub async fn replay_quarantine(
    pool: &PgPool,
    redis: &Redis,
    clock: &dyn Clock,
    rates: &RateCache,
    rules: ReplayRules<'_>,
    claim: &Claim,
    replay: Replay,
) -> Result<ReplayCounts, DbError> {
    let lists = quarantine::list_to_replay(pool, replay).await?;
    let total: usize = lists.iter().map(|list| list.ids.len()).sum();
    let mut replayed = ReplayCounts::default();
    for list in &lists {
        for ids in list.ids.chunks(BATCH_SIZE) {
            let batch = Batch { list, ids, rates, rules, before: replayed.replayed, total };
            replayed += batch.replay(pool, redis, claim, clock.now()).await?;
        }
    }
    Ok(replayed)
}

/// Entries that are replayed in one database transaction.
struct Batch<'a> {
    list: &'a ReplayBatch,
    ids: &'a [Uuid],
    rates: &'a RateCache,
    rules: ReplayRules<'a>,
    /// The number of entries replayed before this batch.
    before: u64,
    total: usize,
}

impl Batch<'_> {
    async fn replay(
        &self,
        pool: &PgPool,
        redis: &Redis,
        claim: &Claim,
        now: DateTime<Utc>,
    ) -> Result<ReplayCounts, DbError> {
        let ReplayBatch { source, kind, .. } = *self.list;
        let mut transaction = pool.begin().await?;
        transactions::lock_source(&mut transaction, source).await?;
        let (mut readable, mut malformed) = (vec![], vec![]);
        for (id, raw) in quarantine::list_raw(&mut transaction, self.ids).await? {
            match parse(source, kind, &readable_text(raw), self.rules.projects) {
                Record::Payment(record) => readable.push((id, record)),
                Record::Malformed(record) => malformed.push((id, record)),
            }
        }
        let records: Vec<&Transaction> = readable.iter().map(|(_, record)| &**record).collect();
        let read_by = self.rules.generation(source);
        let stream = (source, kind);
        let decisions = store_transactions(&mut transaction, self.rates, stream, &records, read_by, None, now).await?;
        let stored: Vec<Uuid> = readable.iter().map(|(id, _)| *id).collect();
        quarantine::delete(&mut transaction, &stored).await?;
        quarantine::set_reasons(&mut transaction, &malformed).await?;
        let (stored, still_malformed) = (stored.len() as u64, malformed.len() as u64);
        let replayed = ReplayCounts { replayed: stored + still_malformed, stored, still_malformed };
        let progress = json!({"progress": self.before + replayed.replayed, "total": self.total});
        claims::verify_claim(&mut transaction, claim, &progress).await?;
        let mut events = change_events(source, &count(&decisions));
        if !events.is_empty() {
            events.push(Event::MetricsUpdated { sources: vec![source] });
        }
        let recorded = events::insert(&mut transaction, events, now).await?;
        transaction.commit().await?;
        publish_events(redis, &recorded).await;
        Ok(replayed)
    }
}

/// Parses a record as the sync of its list does.
fn parse(source: Source, kind: Kind, raw: &str, projects: &Projects) -> Record {
    match (source, kind) {
        // Every Vima operation is a pay-in.
        (Source::Vima, _) => read_operation(raw).record,
        (Source::Payshack, Kind::Payin) => read_payin(raw, projects),
        (Source::Payshack, Kind::Payout) => read_payout(raw, projects),
    }
}
