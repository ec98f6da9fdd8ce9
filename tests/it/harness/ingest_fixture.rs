//! Stores generated payments: through the real ingest without a provider, or directly with SQL.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims::{Claimer, claim};
use psp_dashboard::db::sync::runs::NewSyncRun;
use psp_dashboard::domain::job::{Claim, NewJob, SYNC_VIMA, Trigger};
use psp_dashboard::domain::money::Currency;
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::sync::{Counts, Stream, SyncArgs};
use psp_dashboard::domain::transaction::{Kind, Source, Transaction, TransactionKey};
use psp_dashboard::domain::upsert::RulesGeneration;
use psp_dashboard::domain::version::{SequenceId, Version};
use psp_dashboard::operations::begin_sync::begin_sync;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page, Progress, RunClaim, ingest_page};
use psp_dashboard::operations::rate_cache::RateCache;
use psp_dashboard::redis::Redis;
use rust_decimal::Decimal;
use sqlx::{AssertSqlSafe, Executor, PgPool};
use uuid::Uuid;

use super::servers::{Servers, number};

/// A running sync of Vima whose pages come from the test.
pub(crate) struct IngestFixture {
    _servers: Arc<Servers>,
    pub(crate) pool: PgPool,
    redis: Redis,
    rates: RateCache,
    run_claim: RunClaim,
}

impl IngestFixture {
    pub(crate) async fn start() -> Self {
        Self::start_on(Arc::new(Servers::start().await)).await
    }

    pub(crate) async fn start_on(servers: Arc<Servers>) -> Self {
        let (pool, redis) = (servers.pool().await, servers.redis().await);
        let job = NewJob::sync(Source::Vima, &SyncArgs::Incremental, Trigger::Api);
        enqueue_job(&pool, &redis, &job).await.expect("the job is enqueued");
        let queues = &[SYNC_VIMA.queue.to_owned()];
        let claimer = Claimer { queues, worker: "w", lease: std::time::Duration::from_mins(5), suspects: None };
        let claim =
            claim(&pool, &claimer, 1).await.expect("the jobs table responds").jobs.pop().expect("a due job").claim;
        let run = NewSyncRun {
            id: Uuid::now_v7(),
            source: Source::Vima,
            args: SyncArgs::Incremental,
            trigger: Trigger::Api,
            job_id: claim.job_id,
        };
        begin_sync(&pool, &redis, &claim, &run, SystemClock.now()).await.expect("the claim is valid");
        Self {
            _servers: servers,
            pool,
            redis,
            rates: RateCache::default(),
            run_claim: RunClaim { claim, run_id: run.id, read_by: RulesGeneration(1) },
        }
    }

    /// The same run with the claim of an earlier epoch, which is no longer valid.
    pub(crate) fn with_lost_claim(self) -> Self {
        let Claim { job_id, epoch } = self.run_claim.claim;
        Self { run_claim: RunClaim { claim: Claim { job_id, epoch: epoch - 1 }, ..self.run_claim }, ..self }
    }

    /// Stores a page of the stream of Vima's updates.
    pub(crate) async fn ingest(&self, records: Vec<Record>, checkpoint: Checkpoint) -> Result<Counts, DbError> {
        self.ingest_page(Page::new(Stream::VimaUpdates, records, checkpoint)).await
    }

    pub(crate) async fn ingest_page(&self, page: Page) -> Result<Counts, DbError> {
        let Self { pool, redis, rates, run_claim, .. } = self;
        ingest_page(pool, redis, rates, run_claim, &page, &Progress::default(), SystemClock.now()).await
    }

    /// The result of a query that returns one number.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        number(&self.pool, query).await
    }
}

/// A successful payment in rupees with no optional field. Tests set the fields that they need.
pub(crate) fn minimal_transaction(
    (source, kind): (Source, Kind),
    source_id: String,
    created_at: DateTime<Utc>,
) -> Transaction {
    let key = TransactionKey { source, kind, source_id };
    Transaction {
        version: Version { sequence: Some(SequenceId(1)), modified_at: None },
        status: Status::Success,
        raw: "{}".to_owned(),
        ..Transaction::minimal(key, created_at, Decimal::ZERO, Currency::inr())
    }
}

/// Inserts one payment for each number, all on the same day, with the number as id and as amount in rupees, and updates
/// the metrics.
pub(crate) async fn insert_transactions(pool: &PgPool, numbers: RangeInclusive<u32>) {
    let (first, last) = (numbers.start(), numbers.end());
    let statement = format!(
        "INSERT INTO transactions (id, source, kind, source_id, content_hash, amount, currency, status, user_email,
                created_at, ingested_at, raw_data)
         SELECT gen_random_uuid(), 'vima', 'payin', n::text, '\\x00', n, 'INR', 'success', 'payer' || n || '@example.com',
                '2026-01-15T10:00:00Z', now(), '{{}}' FROM generate_series({first}, {last}) AS n;
         INSERT INTO metric_cells SELECT * FROM odd_metric_cells('vima', '2026-01-15Z', '2026-01-16Z')
             ON CONFLICT (facet, width, project, member, bucket, source, kind, currency, status)
             DO UPDATE SET count = excluded.count, amount = excluded.amount;
         UPDATE payment_versions SET version = version + 1"
    );
    pool.execute(AssertSqlSafe(statement)).await.expect("the payments are new");
}
