//! Answers metric queries, and caches the answers for as long as the data they come from does not change.
//!
//! Dashboards send the same queries all day. An answer is cached with the version of its data, and before each use the
//! current version is read from the database: a cached answer is never stale. Queries that arrive at the same time share
//! one version read, which starts after the last of them has arrived, so a thousand queries cost hardly more than one.
//! Rejected: an expiry time, and invalidation by events; both return outdated answers.
//!
//! New data nearly always belongs to today and yesterday. So a query is split into these days and the days before, and
//! after most commits the second part is still valid. Rejected: one part per day, for which the database would have to
//! aggregate thirty times as many rows when a query is new.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::db::DbError;
use crate::db::metrics::data_version;
use crate::db::metrics::data_version::{DataVersion, Freshness, StateVersion};
use crate::db::metrics::sums;
use crate::db::reads::{ReadError, ReadPools};
use crate::db::reconciliation::not_in_vima;
use crate::domain::metrics::query::{MetricFilter, MetricQuery, MetricRow};
use crate::domain::sync::day_start;
use crate::domain::time_range::TimeRange;

/// The size of the cache.
const MAX_BYTES: u64 = 32 << 20;
/// About how many answers of usual size that is.
const EXPECTED_ANSWERS: usize = 4_000;
/// The sums of payments that Vima does not have have a few rows each.
const MISSING_ANSWERS: usize = 1_000;

pub struct MetricsCache {
    reads: ReadPools,
    freshness: FreshnessReader,
    cache: Cache<Key, Arc<[MetricRow]>, Weight>,
    not_in_vima: Cache<(MetricFilter, TimeRange, StateVersion), Arc<[MetricRow]>>,
}

#[derive(Debug, Clone)]
pub struct MetricsAnswer {
    /// Without rows for combinations that have no transactions. A bucket may have two rows for the same combination, which
    /// must be added up.
    pub rows: Arc<[MetricRow]>,
    pub data_version: DataVersion,
    /// The time up to which each source has been read, in the order of [`crate::domain::transaction::Source::ALL`].
    pub as_of: [Option<DateTime<Utc>>; 2],
}

/// Shared by all queries that waited for the same statement.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct MetricsError(#[from] Arc<DbError>);

impl From<DbError> for MetricsError {
    fn from(error: DbError) -> Self {
        Self(Arc::new(error))
    }
}

impl ReadError for MetricsError {
    fn database_error(&self) -> Option<&DbError> {
        Some(&self.0)
    }
}

impl MetricsError {
    #[must_use]
    pub fn database(&self) -> &DbError {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    query: MetricQuery,
    data_version: DataVersion,
}

impl Key {
    fn new(query: MetricQuery, freshness: &Freshness) -> Self {
        let data_version = freshness.data_version(&query);
        Self { query, data_version }
    }

    /// Splits the query into the settled days and the recent days; `None` if it has only one kind.
    fn split(&self, freshness: &Freshness) -> Option<[Self; 2]> {
        let newest = freshness.versions.iter().filter_map(|versions| versions.newest_day()).max()?;
        let last = self.query.buckets.days()?.end().min(&newest).pred_opt()?;
        let (settled, recent) = self.query.split(day_start(last))?;
        Some([settled, recent].map(|part| Self::new(part, freshness)))
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Arc<[MetricRow]>> for Weight {
    fn weight(&self, key: &Key, rows: &Arc<[MetricRow]>) -> u64 {
        let texts: usize = rows.iter().map(|row| row.member.len() + row.currency.len()).sum();
        let bytes = size_of_val(&**rows) + texts + size_of_val(key.query.buckets.boundaries()) * 2 + 512;
        bytes as u64
    }
}

impl MetricsCache {
    #[must_use]
    pub fn new(reads: ReadPools) -> Self {
        let cache = Cache::with_weighter(EXPECTED_ANSWERS, MAX_BYTES, Weight);
        let not_in_vima = Cache::new(MISSING_ANSWERS);
        Self { freshness: FreshnessReader::new(reads.primary().clone()), reads, cache, not_in_vima }
    }

    /// The answer to `query` as of now.
    pub async fn query(&self, query: &MetricQuery) -> Result<MetricsAnswer, MetricsError> {
        self.current().await?.query(query).await
    }

    /// For several queries of one request, which need not read the versions more than once.
    pub async fn current(&self) -> Result<CurrentMetrics<'_>, MetricsError> {
        Ok(CurrentMetrics { cache: self, freshness: self.freshness.read().await? })
    }

    /// Each statement reads its own snapshot, so two parts form an answer only if nothing has changed since before the
    /// first of them.
    async fn compute(&self, key: &Key, freshness: &Freshness) -> Result<Arc<[MetricRow]>, MetricsError> {
        if let Some([settled, recent]) = key.split(freshness) {
            let parts = (self.compute_part(&settled, freshness), self.compute_part(&recent, freshness));
            let (settled, recent) = tokio::try_join!(parts.0, parts.1)?;
            let freshness = self.freshness.read().await?;
            if Key::new(key.query.clone(), &freshness) == *key {
                return Ok(settled.iter().chain(recent.iter()).cloned().collect());
            }
        }
        Ok(self.list(&key.query, freshness).await?.into())
    }

    async fn compute_part(&self, part: &Key, freshness: &Freshness) -> Result<Arc<[MetricRow]>, DbError> {
        let rows = async { Ok(self.list(&part.query, freshness).await?.into()) };
        self.cache.get_or_insert_async(part, rows).await
    }

    /// On the heap: the future of every request would otherwise contain three of them.
    fn list<'a>(
        &'a self,
        query: &'a MetricQuery,
        freshness: &Freshness,
    ) -> BoxFuture<'a, Result<Vec<MetricRow>, DbError>> {
        let required = freshness.required_by(query);
        let list = move |pool| async move { sums::list_at_once(&pool, query).await };
        async move { self.reads.run(&required, list).await }.boxed()
    }
}

/// Metrics as of the time at which it was created, or later.
pub struct CurrentMetrics<'cache> {
    cache: &'cache MetricsCache,
    freshness: Freshness,
}

impl CurrentMetrics<'_> {
    pub async fn query(&self, query: &MetricQuery) -> Result<MetricsAnswer, MetricsError> {
        let key = Key::new(query.clone(), &self.freshness);
        // Equal queries that arrive meanwhile wait for this answer. On the heap, because every request would otherwise contain it.
        let computing = Box::pin(self.cache.compute(&key, &self.freshness));
        let rows = self.cache.cache.get_or_insert_async(&key, computing).await?;
        Ok(MetricsAnswer { rows, data_version: key.data_version, as_of: self.freshness.as_of })
    }

    /// The sums of `payins`, pay-ins of `PayShack` that were created in `range`, that Vima does not have according to the last
    /// reconciliations.
    pub async fn not_in_vima(&self, payins: MetricFilter, range: TimeRange) -> Result<Arc<[MetricRow]>, MetricsError> {
        let key = (payins, range, self.freshness.state_version());
        let sums = async {
            let payins = &key.0;
            let sum = |pool| async move { not_in_vima::sum(&pool, payins, range).await };
            Ok::<_, MetricsError>(self.cache.reads.run(&self.freshness.stored_state(), sum).await?.into())
        };
        self.cache.not_in_vima.get_or_insert_async(&key, sums).await
    }

    /// Reads something else from the transactions that `query` reads.
    pub async fn read<T, E: ReadError, F: Future<Output = Result<T, E>>>(
        &self,
        query: &MetricQuery,
        read: impl Fn(PgPool) -> F,
    ) -> Result<T, E> {
        self.cache.reads.run(&self.freshness.required_by(query), read).await
    }

    /// Reads whatever follows from transactions.
    pub async fn read_all<T, E: ReadError, F: Future<Output = Result<T, E>>>(
        &self,
        read: impl Fn(PgPool) -> F,
    ) -> Result<T, E> {
        self.cache.reads.run(&self.freshness.stored_transactions(), read).await
    }

    /// The version of the data that the answer to `query` comes from, for other caches of the same data.
    #[must_use]
    pub fn data_version(&self, query: &MetricQuery) -> DataVersion {
        self.freshness.data_version(query)
    }

    /// The time up to which each source has been read, in the order of [`crate::domain::transaction::Source::ALL`].
    #[must_use]
    pub fn as_of(&self) -> [Option<DateTime<Utc>>; 2] {
        self.freshness.as_of
    }
}

type SharedRead = Shared<BoxFuture<'static, Result<Freshness, MetricsError>>>;

/// Reads the versions, one read at a time. Each is shared by all callers that arrived before it started.
struct FreshnessReader {
    pool: PgPool,
    latest: Arc<Mutex<Freshness>>,
    next: Arc<Mutex<Option<SharedRead>>>,
}

impl FreshnessReader {
    fn new(pool: PgPool) -> Self {
        Self { pool, latest: Arc::default(), next: Arc::default() }
    }

    async fn read(&self) -> Result<Freshness, MetricsError> {
        let read = self.next.lock().await.get_or_insert_with(|| self.prepare()).clone();
        read.await
    }

    /// A read that starts when the previous one has ended. From then on no caller joins it, because it could miss what was
    /// committed before the caller arrived.
    fn prepare(&self) -> SharedRead {
        let (pool, next, latest) = (self.pool.clone(), Arc::clone(&self.next), Arc::clone(&self.latest));
        let read = async move {
            let mut latest = latest.lock().await;
            next.lock().await.take();
            *latest = data_version::refresh(&pool, &latest).await?;
            Ok(latest.clone())
        };
        read.boxed().shared()
    }
}
