//! How new what is stored is: a number for each source that grows with every commit which wrote payments of it, and for each
//! day of UTC the number of the last commit which wrote payments of that day.
//!
//! Whoever keeps an answer keeps it with the number of its days, and asks for them again before giving it away: what is as new
//! as it was still holds. Whoever asks says what it knows, and is told what has changed since: hardly anything. The events
//! were rejected for this: they come a moment after the commit they tell of, and may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::domain::metrics::query::MetricQuery;
use crate::domain::sync::Stream;
use crate::domain::transaction::Source;

/// How new what is stored is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// The versions of the payments of each source, in the order of [`Source::ALL`].
    pub versions: [Arc<SourceVersions>; 2],
    /// Up to when each source has been read completely: the oldest watermark of the lists that tell what is new. None before
    /// every one of them has been read once, and everything that the first run owed.
    pub as_of: [Option<DateTime<Utc>>; 2],
    /// How often the database was found put back to an earlier state: from then on the same versions may mean other payments.
    era: u32,
}

/// Which edition of some payments an answer is made of. Of the same edition, the same question has the same answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DataVersion {
    era: u32,
    versions: [i64; 2],
}

impl Freshness {
    /// The edition of the payments that a question asks for. Of other sources and days, no version matters.
    #[must_use]
    pub fn data_version(&self, question: &MetricQuery) -> DataVersion {
        let (asked, days) = (&question.filter.sources, question.buckets.days());
        let mut versions = [0; 2];
        for (place, source) in Source::ALL.into_iter().enumerate() {
            if let Some(days) = days.clone().filter(|_| asked.is_empty() || asked.contains(&source)) {
                versions[place] = self.versions[place].of(days);
            }
        }
        DataVersion { era: self.era, versions }
    }
}

/// The versions of the payments of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceVersions {
    /// The latest commit.
    latest: i64,
    /// The last one that did not tell of its days: it may have written payments of any.
    of_any_day: i64,
    days: BTreeMap<NaiveDate, i64>,
}

impl SourceVersions {
    /// The last commit that wrote payments of these days.
    fn of(&self, days: RangeInclusive<NaiveDate>) -> i64 {
        self.days.range(days).map(|(_, version)| *version).fold(self.of_any_day, i64::max)
    }

    /// The newest day that there are payments of, as far as it was told.
    #[must_use]
    pub fn newest_day(&self) -> Option<NaiveDate> {
        self.days.last_key_value().map(|(day, _)| *day)
    }
}

/// Says that payments of `source` were written, or moved, that were created on these days. The caller has the turn of the
/// source, so nobody waits for the row.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn increment(
    connection: &mut PgConnection,
    source: Source,
    days: &BTreeSet<NaiveDate>,
) -> Result<(), DbError> {
    if days.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"WITH raised AS (
           UPDATE payment_versions
              SET version = version + 1, told = version + 1,
                  untold = CASE WHEN told = version THEN untold ELSE version END
            WHERE source = $1 RETURNING version)
           INSERT INTO payment_day_versions AS known (source, day, version)
           SELECT $1, day, version FROM raised CROSS JOIN UNNEST($2::date[]) AS day
               ON CONFLICT (source, day) DO UPDATE SET version = excluded.version"#,
        source.as_str(),
        &days.iter().copied().collect::<Vec<_>>()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Looks how new what is stored is, in one view of the database; `known` is what an earlier look found.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn refresh(pool: &PgPool, known: &Freshness) -> Result<Freshness, DbError> {
    let found = load_since(pool, known).await?;
    let latest = |freshness: &Freshness| freshness.versions.each_ref().map(|versions| versions.latest);
    // SourceVersions only grow, but for a database that was put back to an earlier state.
    let was_put_back = latest(&found).into_iter().zip(latest(known)).any(|(found, known)| found < known);
    if !was_put_back {
        return Ok(found);
    }
    load_since(pool, &Freshness { era: known.era.wrapping_add(1), ..Freshness::default() }).await
}

async fn load_since(pool: &PgPool, known: &Freshness) -> Result<Freshness, DbError> {
    let lists = Source::ALL.into_iter().flat_map(|source| Stream::all_of(source).map(|stream| (source, stream)));
    let (sources, streams): (Vec<&str>, Vec<&str>) =
        lists.map(|(source, stream)| (source.as_str(), stream.as_str())).unzip();
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
                                            WHERE history.source = versions.source AND history.stream = 'history'
                                              AND history.covered_from <= history.day::timestamp AT TIME ZONE 'UTC')
                              THEN min(watermark) END AS as_of
                    FROM UNNEST($1::text[], $2::text[]) AS lists (source, stream)
                         LEFT JOIN sync_streams AS read ON read.source = lists.source AND read.stream = lists.stream
                   WHERE lists.source = versions.source) AS reading"#,
        &sources as &[&str],
        &streams as &[&str],
        &Source::ALL.map(Source::as_str) as &[&str],
        &known.versions.each_ref().map(|versions| versions.latest)
    )
    .fetch_all(pool)
    .await?;
    let mut found = known.clone();
    for row in rows {
        let Some(place) = Source::ALL.iter().position(|source| source.as_str() == row.source) else { continue };
        found.as_of[place] = row.as_of;
        if row.version == found.versions[place].latest {
            continue;
        }
        let versions = Arc::make_mut(&mut found.versions[place]);
        versions.latest = row.version;
        versions.of_any_day = if row.told == row.version { row.untold } else { row.version };
        versions.days.extend(row.days.into_iter().zip(row.day_versions));
    }
    Ok(found)
}
