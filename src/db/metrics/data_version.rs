//! Version numbers of the stored transactions, to check whether a cached response is current.
//!
//! Each source has a version that every commit with changes to its transactions increases; each UTC day has the version of the
//! last such commit that changed transactions of the day. A cached response has the versions of its days, and is current while
//! they are the same. [`refresh`] reads only the versions that are newer than the known ones, which are few. Rejected: events,
//! which arrive some time after their commit and may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::reads::StoredState;
use crate::db::sync::streams::{StreamRow, complete_until};
use crate::domain::metrics::query::MetricQuery;
use crate::domain::transaction::Source;

/// The version and completeness of all stored transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// By source, in the order of [`Source::ALL`].
    pub versions: [Arc<SourceVersions>; 2],
    /// Up to when each source has been read completely: the oldest watermark of its streams of new data. `None` before each of
    /// them, and the history that the first run must read, has been read once.
    pub as_of: [Option<DateTime<Utc>>; 2],
    /// How often the database was restored to an earlier state, after which the same versions stand for different data.
    era: u32,
    /// The id of the last event. Every commit that changes transactions or completes a reconciliation records one, with ids in the
    /// order of commits.
    last_event: i64,
}

/// The version of everything that is stored: it changes with every commit that records an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateVersion {
    era: u32,
    last_event: i64,
}

/// The version of the data that a query reads: with the same version, the same query has the same result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DataVersion {
    era: u32,
    versions: [i64; 2],
}

impl Freshness {
    /// Covers only the sources and days that `query` reads.
    #[must_use]
    pub fn data_version(&self, query: &MetricQuery) -> DataVersion {
        let (sources, days) = (&query.filter.sources, query.buckets.days());
        let mut versions = [0; 2];
        for (index, source) in Source::ALL.into_iter().enumerate() {
            if let Some(days) = days.clone().filter(|_| sources.is_empty() || sources.contains(&source)) {
                versions[index] = self.versions[index].of_days(days);
            }
        }
        DataVersion { era: self.era, versions }
    }

    /// What a server must have to answer a query as the primary would.
    #[must_use]
    pub fn required_by(&self, query: &MetricQuery) -> StoredState {
        StoredState { versions: self.data_version(query).versions, last_event: 0 }
    }

    /// What a server must have to answer whatever follows from transactions as the primary would.
    #[must_use]
    pub fn stored_transactions(&self) -> StoredState {
        StoredState { versions: self.versions.each_ref().map(|versions| versions.latest), last_event: 0 }
    }

    /// The same for what follows from transactions and reconciliations.
    #[must_use]
    pub fn stored_state(&self) -> StoredState {
        StoredState { last_event: self.last_event, ..self.stored_transactions() }
    }

    /// For results that depend on more than transactions.
    #[must_use]
    pub fn state_version(&self) -> StateVersion {
        StateVersion { era: self.era, last_event: self.last_event }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceVersions {
    /// Of the last commit.
    latest: i64,
    /// Of the last commit that did not record its days: it may have changed any day.
    any_day: i64,
    days: BTreeMap<NaiveDate, i64>,
}

impl SourceVersions {
    fn of_days(&self, days: RangeInclusive<NaiveDate>) -> i64 {
        self.days.range(days).map(|(_, version)| *version).fold(self.any_day, i64::max)
    }

    /// The newest day with a recorded version.
    #[must_use]
    pub fn newest_day(&self) -> Option<NaiveDate> {
        self.days.last_key_value().map(|(day, _)| *day)
    }
}

/// Increases the versions of `source` and of the days on which the changed transactions were created. The caller has locked the
/// source, so no other writer waits for the row.
///
/// `told` is the last version whose days were recorded. An older release increases only `version`: `untold` then becomes the last
/// version that may have changed any day.
pub async fn increment(
    connection: &mut PgConnection,
    source: Source,
    days: &BTreeSet<NaiveDate>,
) -> Result<(), DbError> {
    if days.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"WITH increased AS (
           UPDATE payment_versions
              SET version = version + 1, told = version + 1,
                  untold = CASE WHEN told = version THEN untold ELSE version END
            WHERE source = $1 RETURNING version)
           INSERT INTO payment_day_versions (source, day, version)
           SELECT $1, day, version FROM increased CROSS JOIN UNNEST($2::date[]) AS day
               ON CONFLICT (source, day) DO UPDATE SET version = excluded.version"#,
        source.as_str(),
        &days.iter().copied().collect::<Vec<_>>()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads what has changed since `known`.
pub async fn refresh(pool: &PgPool, known: &Freshness) -> Result<Freshness, DbError> {
    let found = load_since(pool, known).await?;
    let latest = |freshness: &Freshness| freshness.versions.each_ref().map(|versions| versions.latest);
    // Versions only decrease if the database was restored to an earlier state.
    let was_restored = latest(&found).into_iter().zip(latest(known)).any(|(found, known)| found < known);
    if !was_restored {
        return Ok(found);
    }
    load_since(pool, &Freshness { era: known.era.wrapping_add(1), ..Freshness::default() }).await
}

/// One statement, so that versions and watermarks are consistent. Of simple parts, because every request waits for it: planning
/// one that adds the rows up took longer than reading them. [`increment`] says what the columns `told` and `untold` mean.
async fn load_since(pool: &PgPool, known: &Freshness) -> Result<Freshness, DbError> {
    let rows = sqlx::query!(
        r#"SELECT source AS "source!", NULL AS stream, version, told, untold, NULL::timestamptz AS watermark,
                  NULL::timestamptz AS covered_from, NULL::date AS day FROM payment_versions
           UNION ALL
           SELECT source, stream, NULL, NULL, NULL, watermark, covered_from, day FROM sync_streams
           UNION ALL
           SELECT source, NULL, version, NULL, NULL, NULL, NULL, day FROM payment_day_versions WHERE source = $1 AND version > $3
           UNION ALL
           SELECT source, NULL, version, NULL, NULL, NULL, NULL, day FROM payment_day_versions WHERE source = $2 AND version > $4
           UNION ALL
           SELECT 'events', NULL, max(id), NULL, NULL, NULL, NULL, NULL FROM events"#,
        Source::ALL[0].as_str(),
        Source::ALL[1].as_str(),
        known.versions[0].latest,
        known.versions[1].latest
    )
    .fetch_all(pool)
    .await?;
    let mut found = known.clone();
    found.last_event = rows.iter().find(|row| row.source == "events").and_then(|row| row.version).unwrap_or_default();
    for (index, source) in Source::ALL.into_iter().enumerate() {
        let rows = || rows.iter().filter(|row| row.source == source.as_str());
        let streams = rows().filter_map(|row| {
            let stream = row.stream.clone()?;
            Some(StreamRow { stream, watermark: row.watermark, day: row.day, covered_from: row.covered_from })
        });
        found.as_of[index] = complete_until(source, &streams.collect::<Vec<_>>());
        let version = rows().find_map(|row| Some((row.version?, row.told?, row.untold?)));
        let Some((version, told, untold)) = version.filter(|(version, ..)| *version != known.versions[index].latest)
        else {
            continue;
        };
        let versions = Arc::make_mut(&mut found.versions[index]);
        versions.latest = version;
        versions.any_day = if told == version { untold } else { version };
        versions
            .days
            .extend(rows().filter(|row| row.stream.is_none()).filter_map(|row| Some((row.day?, row.version?))));
    }
    Ok(found)
}
