//! Reads the quarantine again with today's readers, and stores what can be read by now.
//!
//! What is stored goes the way of a page: by its version, with its history, metrics and events, under the worker's claim. It
//! is no run of a sync, for nobody asked the provider: changes are noted without a run. A telling that is older than what
//! is stored by now is dropped as it would be in a page. An entry that came while the replay goes on was read today anyway.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::publish_events::publish_events;
use super::rate_cache::StoredRates;
use super::store_payments::{changes_news, count, store_payments};
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
use crate::providers::payshack::{Projects, read_payin, read_payout};
use crate::providers::readable_text;
use crate::providers::vima::read_operation;
use crate::redis::Redis;

/// Entries of one transaction: as many as a page has records.
const BATCH: usize = 100;

/// Reads the entries that `replay` means again, in the name of `claim`.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now. Whatever the error, what was stored before stays stored,
/// and is out of the quarantine.
pub async fn replay_quarantine(
    pool: &PgPool,
    redis: &Redis,
    clock: &dyn Clock,
    rates: &StoredRates,
    projects: &Projects,
    claim: &Claim,
    replay: Replay,
) -> Result<ReplayCounts, DbError> {
    let lists = quarantine::list_to_replay(pool, replay).await?;
    let total: usize = lists.iter().map(|list| list.ids.len()).sum();
    let mut replayed = ReplayCounts::default();
    for list in &lists {
        for ids in list.ids.chunks(BATCH) {
            let batch = Batch { list, ids, rates, projects, before: replayed.replayed, total };
            replayed += batch.replay(pool, redis, claim, clock.now()).await?;
        }
    }
    Ok(replayed)
}

/// Entries that are read again together.
struct Batch<'a> {
    list: &'a ReplayBatch,
    ids: &'a [Uuid],
    rates: &'a StoredRates,
    projects: &'a Projects,
    /// Entries read again before these.
    before: u64,
    /// Entries to be read again in all.
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
            match read(source, kind, &readable_text(raw), self.projects) {
                Record::Payment(payment) => readable.push((id, payment)),
                Record::Malformed(record) => malformed.push((id, record)),
            }
        }
        let payments: Vec<&Transaction> = readable.iter().map(|(_, payment)| &**payment).collect();
        let verdicts = store_payments(&mut transaction, self.rates, (source, kind), &payments, None, now).await?;
        let stored: Vec<Uuid> = readable.iter().map(|(id, _)| *id).collect();
        quarantine::delete(&mut transaction, &stored).await?;
        quarantine::set_reasons(&mut transaction, &malformed).await?;
        let (stored, still_malformed) = (stored.len() as u64, malformed.len() as u64);
        let replayed = ReplayCounts { replayed: stored + still_malformed, stored, still_malformed };
        let progress = json!({"progress": self.before + replayed.replayed, "total": self.total});
        claims::verify_claim(&mut transaction, claim, &progress).await?;
        let mut news = changes_news(source, &count(&verdicts));
        if !news.is_empty() {
            news.push(Event::MetricsUpdated { sources: vec![source] });
        }
        let recorded = events::insert(&mut transaction, news, now).await?;
        transaction.commit().await?;
        publish_events(redis, &recorded).await;
        Ok(replayed)
    }
}

/// Reads a record as the sync of its list does.
fn read(source: Source, kind: Kind, raw: &str, projects: &Projects) -> Record {
    match (source, kind) {
        // Every operation is a pay-in.
        (Source::Vima, _) => read_operation(raw).record,
        (Source::Payshack, Kind::Payin) => read_payin(raw, projects),
        (Source::Payshack, Kind::Payout) => read_payout(raw, projects),
    }
}
