//! Answers questions about payments, each once for as long as nothing has changed.
//!
//! Dashboards ask the same all day. An answer is kept with the versions of the payments it was made of, and before it is given
//! away the database is asked for the versions as they are: a kept answer is never stale, it is as new as if it had been made
//! that moment. Everybody who asks at the same time shares one look at the versions, begun after the last of them came, so
//! that a thousand who ask cost hardly more than one. Rejected: a time for which answers are believed, and events that say
//! when they no longer hold; both give away what no longer is so.
//!
//! What is new is nearly always of today and yesterday. So a question is asked in two parts, of these days and of those before
//! them, and after most commits the second still holds. Rejected: a part for each day, which the database would have to sum
//! up thirty times as many rows for when a question is new.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::db::DbError;
use crate::db::metrics::data_version;
use crate::db::metrics::data_version::{DataVersion, Freshness};
use crate::db::metrics::sums;
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::sync::day_start;

/// How many bytes the answers that are kept may weigh.
const MOST_BYTES: u64 = 32 << 20;
/// How many of usual size that is about.
const USUAL_ANSWERS: usize = 4_000;

/// Answers questions about payments.
pub struct MetricsCache {
    pool: PgPool,
    looks: Looks,
    kept: Cache<Key, Arc<[MetricRow]>, Weight>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The sums that were asked for, of those payments that there are; what a slot sums up to may come in two parts.
    pub sums: Arc<[MetricRow]>,
    /// The edition of the payments that they are of.
    pub edition: DataVersion,
    /// Up to when each source has been read, in the order of [`crate::domain::transaction::Source::ALL`].
    pub as_of: [Option<DateTime<Utc>>; 2],
}

/// Many wait for one statement, and learn the same of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct SumError(#[from] Arc<DbError>);

impl From<DbError> for SumError {
    fn from(error: DbError) -> Self {
        Self(Arc::new(error))
    }
}

impl SumError {
    /// What the database said.
    #[must_use]
    pub fn database(&self) -> &DbError {
        &self.0
    }
}

/// A question, and the edition of the payments that its answer is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    question: MetricQuery,
    edition: DataVersion,
}

impl Key {
    fn of(question: MetricQuery, now: &Freshness) -> Self {
        let edition = now.data_version(&question);
        Self { question, edition }
    }

    /// The question of the days that change, and the one of those before; none where there is but one of them.
    fn in_parts(&self, now: &Freshness) -> Option<[Self; 2]> {
        let newest = now.versions.iter().filter_map(|versions| versions.newest_day()).max()?;
        let last = self.question.buckets.days()?.end().min(&newest).pred_opt()?;
        let (settled, recent) = self.question.split(day_start(last))?;
        Some([settled, recent].map(|part| Self::of(part, now)))
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Arc<[MetricRow]>> for Weight {
    fn weight(&self, key: &Key, sums: &Arc<[MetricRow]>) -> u64 {
        let texts: usize = sums.iter().map(|sum| sum.member.len() + sum.currency.len()).sum();
        let bytes = size_of_val(&**sums) + texts + size_of_val(key.question.buckets.boundaries()) * 2 + 512;
        bytes as u64
    }
}

impl MetricsCache {
    /// Answers from this database.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { looks: Looks::new(pool.clone()), pool, kept: Cache::with_weighter(USUAL_ANSWERS, MOST_BYTES, Weight) }
    }

    /// The answer to a question, as of now.
    ///
    /// # Errors
    /// [`SumError`] where the database cannot be asked.
    pub async fn ask(&self, question: &MetricQuery) -> Result<Answer, SumError> {
        let now = self.looks.look().await?;
        let key = Key::of(question.clone(), &now);
        // Whoever asks the same meanwhile waits for this answer.
        let sums = self.kept.get_or_insert_async(&key, self.make(&key, &now)).await?;
        Ok(Answer { sums, edition: key.edition, as_of: now.as_of })
    }

    /// The edition, as of now, of the payments that an answer to a question would be made of: for whoever keeps something
    /// else that is made of them.
    ///
    /// # Errors
    /// [`SumError`] where the database cannot be asked.
    pub async fn edition(&self, question: &MetricQuery) -> Result<DataVersion, SumError> {
        Ok(self.looks.look().await?.data_version(question))
    }

    /// Up to when each source has been read, in the order of [`crate::domain::transaction::Source::ALL`].
    ///
    /// # Errors
    /// [`SumError`] where the database cannot be asked.
    pub async fn as_of(&self) -> Result<[Option<DateTime<Utc>>; 2], SumError> {
        Ok(self.looks.look().await?.as_of)
    }

    /// Each statement has a view of its own, so two parts make an answer only where nothing has changed since before the
    /// first of them.
    async fn make(&self, key: &Key, now: &Freshness) -> Result<Arc<[MetricRow]>, SumError> {
        if let Some([settled, recent]) = key.in_parts(now) {
            let (settled, recent) = tokio::try_join!(self.make_part(&settled), self.make_part(&recent))?;
            let afterwards = self.looks.look().await?;
            if Key::of(key.question.clone(), &afterwards) == *key {
                return Ok(settled.iter().chain(recent.iter()).cloned().collect());
            }
        }
        Ok(sums::list(&self.pool, &key.question).await?.into())
    }

    async fn make_part(&self, part: &Key) -> Result<Arc<[MetricRow]>, DbError> {
        let making = async { Ok(sums::list(&self.pool, &part.question).await?.into()) };
        self.kept.get_or_insert_async(part, making).await
    }
}

type Look = Shared<BoxFuture<'static, Result<Freshness, SumError>>>;

/// Looks at the versions, one at a time, each shared by all who came before it began.
struct Looks {
    pool: PgPool,
    known: Arc<Mutex<Freshness>>,
    waiting: Arc<Mutex<Option<Look>>>,
}

impl Looks {
    fn new(pool: PgPool) -> Self {
        Self { pool, known: Arc::default(), waiting: Arc::default() }
    }

    async fn look(&self) -> Result<Freshness, SumError> {
        let look = self.waiting.lock().await.get_or_insert_with(|| self.next()).clone();
        look.await
    }

    /// A look that begins when the one before has ended; from then on nobody joins it any more, for it may miss what was
    /// committed before they came.
    fn next(&self) -> Look {
        let (pool, waiting, known) = (self.pool.clone(), Arc::clone(&self.waiting), Arc::clone(&self.known));
        let look = async move {
            let mut known = known.lock().await;
            waiting.lock().await.take();
            *known = data_version::refresh(&pool, &known).await?;
            Ok(known.clone())
        };
        look.boxed().shared()
    }
}
