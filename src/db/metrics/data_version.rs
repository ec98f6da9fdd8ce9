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
use crate::db::sync::history::HISTORY;
use crate::domain::metrics::query::MetricQuery;
use crate::domain::sync::Stream;
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

/// Reads what has changed since `known`, in one statement, so that versions and watermarks are consistent.
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

async fn load_since(pool: &PgPool, known: &Freshness) -> Result<Freshness, DbError> {
    let pairs = Source::ALL.into_iter().flat_map(|source| Stream::all_of(source).map(|stream| (source, stream)));
    let (sources, streams): (Vec<&str>, Vec<&str>) =
        pairs.map(|(source, stream)| (source.as_str(), stream.as_str())).unzip();
    let rows = sqlx::query!(
        r#"SELECT known.source AS "source!", versions.version, told, untold, as_of,
                  ARRAY(SELECT day FROM payment_day_versions AS days
                         WHERE days.source = known.source AND days.version > known.version ORDER BY day) AS "days!",
                  ARRAY(SELECT days.version FROM payment_day_versions AS days
                         WHERE days.source = known.source AND days.version > known.version ORDER BY day) AS "day_versions!"
             FROM UNNEST($3::text[], $4::bigint[]) AS known (source, version)
                  JOIN payment_versions AS versions ON versions.source = known.source
                  CROSS JOIN LATERAL (
                  SELECT CASE WHEN bool_and(watermark IS NOT NULL)
                               AND EXISTS (SELECT FROM sync_streams AS history
                                            WHERE history.source = versions.source AND history.stream = $5
                                              AND history.covered_from <= history.day::timestamp AT TIME ZONE 'UTC')
                              THEN min(watermark) END AS as_of
                    FROM UNNEST($1::text[], $2::text[]) AS new_data (source, stream)
                         LEFT JOIN sync_streams USING (source, stream)
                   WHERE new_data.source = versions.source) AS streams"#,
        &sources as &[&str],
        &streams as &[&str],
        &Source::ALL.map(Source::as_str) as &[&str],
        &known.versions.each_ref().map(|versions| versions.latest),
        HISTORY
    )
    .fetch_all(pool)
    .await?;
    let mut found = known.clone();
    for row in rows {
        let Some(index) = Source::ALL.iter().position(|source| source.as_str() == row.source) else { continue };
        found.as_of[index] = row.as_of;
        if row.version == found.versions[index].latest {
            continue;
        }
        let versions = Arc::make_mut(&mut found.versions[index]);
        versions.latest = row.version;
        versions.any_day = if row.told == row.version { row.untold } else { row.version };
        versions.days.extend(row.days.into_iter().zip(row.day_versions));
    }
    Ok(found)
}
