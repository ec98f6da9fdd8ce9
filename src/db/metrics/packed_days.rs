//! Finished days whose cells are stored packed: a copy that is read instead of the cells.
//!
//! A packed day has the version of its source at which it was packed, and is current while neither the day nor the source as a
//! whole has a newer one. Ingest raises the versions in the transaction that changes the cells, so within a snapshot a packed day
//! is either exactly what the payments add up to, or not current, and nothing has to be locked or deleted when a payment changes.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::packed_counts::PackedRow;
use crate::db::DbError;
use crate::db::types::{column, to_bigint};
use crate::domain::metrics::cell::{Facet, Width};
use crate::domain::metrics::packed_cells::{FORMAT, UnreadableCells};
use crate::domain::metrics::packed_plan::PackedPlan;
use crate::domain::metrics::query::MetricQuery;
use crate::domain::metrics::row_sums::RowSums;
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::transaction::Source;

const WIDTHS: [Width; 2] = [Width::Day, Width::Quarter];

/// The packed days that a query can use, and their cells.
#[derive(Debug, Default)]
pub struct PackedDays {
    pub days: BTreeSet<NaiveDate>,
    cells: Vec<PackedValue>,
}

#[derive(Debug)]
struct PackedValue {
    day: NaiveDate,
    source: Source,
    subtracted: bool,
    cells: Vec<u8>,
}

impl PackedDays {
    pub fn add_to(&self, sums: &mut RowSums<'_>, buckets: &TimeBuckets) -> Result<(), DbError> {
        let mut last = None;
        for PackedValue { day, source, subtracted, cells } in &self.cells {
            let keys = match last {
                Some((of, keys)) if of == *day => keys,
                _ => buckets.quarter_keys(*day),
            };
            last = Some((*day, keys));
            let changed =
                if *subtracted { sums.subtract_packed(cells, &keys) } else { sums.add_packed(*source, cells, &keys) };
            changed.map_err(unreadable)?;
        }
        Ok(())
    }
}

pub(super) fn unreadable(error: UnreadableCells) -> DbError {
    DbError::impossible("packed_cells.cells", error.to_string())
}

/// Reads the days of `plan` that are packed and current for all sources of the query.
pub async fn read(
    connection: &mut PgConnection,
    query: &MetricQuery,
    plan: &PackedPlan,
) -> Result<PackedDays, DbError> {
    let sources = if query.filter.sources.is_empty() { &Source::ALL[..] } else { &query.filter.sources };
    let sources: BTreeSet<&str> = sources.iter().map(|source| source.as_str()).collect();
    let subtracted = query.subtracted();
    // Days in a row are read as one range, which costs less than a lookup each. The OFFSET 0 makes the planner read each range, and
    // each divided day, through the primary key.
    let rows = sqlx::query!(
        r#"WITH current AS MATERIALIZED (
           SELECT packed.day, packed.day = ANY($4::date[]) AS divided
             FROM packed_days AS packed
                  JOIN payment_versions AS versions USING (source)
                  LEFT JOIN payment_day_versions AS changed USING (source, day)
            WHERE packed.source = ANY($1) AND packed.format = $8
              AND (packed.day = ANY($4::date[])
                   OR EXISTS (SELECT FROM UNNEST($2::date[], $3::date[]) AS range (first, last)
                               WHERE packed.day BETWEEN range.first AND range.last))
              AND packed.version >= CASE WHEN told = versions.version THEN untold ELSE versions.version END
              AND packed.version >= COALESCE(changed.version, 0)
            GROUP BY packed.day HAVING count(*) = cardinality($1)),
           whole AS (
           SELECT min(day) AS first, max(day) AS last
             FROM (SELECT day, day - row_number() OVER (ORDER BY day)::int AS row FROM current WHERE NOT divided) AS numbered
            GROUP BY row)
           SELECT day AS "day!", NULL AS source, NULL::bytea AS cells, false AS "subtracted!" FROM current
           UNION ALL
           SELECT cells.* FROM whole CROSS JOIN LATERAL (
                  (SELECT day, source, cells, false FROM packed_cells
                    WHERE facet = $5 AND width = 'day' AND day BETWEEN whole.first AND whole.last AND source = ANY($1)
                   OFFSET 0)
                  UNION ALL
                  (SELECT day, source, cells, true FROM packed_cells
                    WHERE facet = $9 AND width = 'day' AND day BETWEEN whole.first AND whole.last AND source = 'payshack'
                      AND project = ANY($10)
                   OFFSET 0)) AS cells
           UNION ALL
           SELECT cells.* FROM current CROSS JOIN LATERAL (
                  (SELECT day, source, cells, false FROM packed_cells
                    WHERE facet = $5 AND width = 'quarter' AND packed_cells.day = current.day AND source = ANY($1)
                      AND (cardinality($6::text[]) = 0 OR project = ANY($6))
                      AND (cardinality($7::text[]) = 0 OR member = ANY($7))
                   OFFSET 0)
                  UNION ALL
                  (SELECT day, source, cells, true FROM packed_cells
                    WHERE facet = $9 AND width = 'quarter' AND packed_cells.day = current.day AND source = 'payshack'
                      AND project = ANY($10) AND (cardinality($7::text[]) = 0 OR member = ANY($7))
                   OFFSET 0)) AS cells
            WHERE divided"#,
        &sources.into_iter().collect::<Vec<_>>() as &[&str],
        &column(&plan.whole, |range| range.0),
        &column(&plan.whole, |range| range.1),
        &column(&plan.divided, |day| *day),
        plan.facet.as_str(),
        &query.filter.projects,
        query.filter.members(plan.facet),
        FORMAT,
        subtracted.map(|subtracted| subtracted.facet.as_str()),
        subtracted.map_or(&[][..], |subtracted| subtracted.projects)
    )
    .fetch_all(connection)
    .await?;
    let mut packed = PackedDays::default();
    for row in rows {
        packed.days.insert(row.day);
        if let Some((source, cells)) = row.source.zip(row.cells) {
            let (day, source, subtracted) = (row.day, Source::try_from(source)?, row.subtracted);
            packed.cells.push(PackedValue { day, source, subtracted, cells });
        }
    }
    Ok(packed)
}

/// The days before `before` that have cells, but no current packed day of each source; the newest first.
pub async fn list_missing(
    connection: &mut PgConnection,
    before: NaiveDate,
    limit: u64,
) -> Result<Vec<(Source, NaiveDate)>, DbError> {
    let rows = sqlx::query!(
        r#"WITH days AS (
           SELECT DISTINCT (bucket AT TIME ZONE 'UTC')::date AS day FROM metric_cells
            WHERE facet = 'all' AND width = 'day' AND project = '' AND member = '' AND bucket < $1::date::timestamp AT TIME ZONE 'UTC')
           SELECT versions.source AS "source!", days.day AS "day!"
             FROM days
                  CROSS JOIN payment_versions AS versions
                  LEFT JOIN payment_day_versions AS changed ON changed.source = versions.source AND changed.day = days.day
                  LEFT JOIN packed_days AS packed ON packed.source = versions.source AND packed.day = days.day
                        AND packed.format = $3
            WHERE packed.version IS NULL
               OR packed.version < CASE WHEN told = versions.version THEN untold ELSE versions.version END
               OR packed.version < changed.version
            ORDER BY days.day DESC, versions.source LIMIT $2"#,
        before,
        to_bigint(limit),
        FORMAT
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| Ok((Source::try_from(row.source)?, row.day))).collect()
}

/// Whether the day is packed and has not changed since.
pub async fn is_current(connection: &mut PgConnection, source: Source, day: NaiveDate) -> Result<bool, DbError> {
    let current = sqlx::query_scalar!(
        r#"SELECT EXISTS (
           SELECT FROM packed_days AS packed
                  JOIN payment_versions AS versions USING (source)
                  LEFT JOIN payment_day_versions AS changed USING (source, day)
            WHERE packed.source = $1 AND packed.day = $2 AND packed.format = $3
              AND packed.version >= CASE WHEN told = versions.version THEN untold ELSE versions.version END
              AND packed.version >= COALESCE(changed.version, 0)) AS "current!""#,
        source.as_str(),
        day,
        FORMAT
    );
    Ok(current.fetch_one(connection).await?)
}

/// Begins to pack a day: everything is counted in one snapshot. The day is scanned once per facet, which PostgreSQL would
/// compile at length.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, DbError> {
    let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    sqlx::query!(
        r#"SELECT set_config('work_mem', '64MB', true) AS memory, set_config('jit', 'off', true) AS jit,
                  set_config('enable_seqscan', 'off', true) AS scans"#
    )
    .fetch_one(&mut *transaction)
    .await?;
    Ok(transaction)
}

/// Records that the day is packed at the version of the snapshot, and removes its former cells. If another transaction packs the
/// day at the same time, the later one fails, and is repeated.
pub async fn replace(connection: &mut PgConnection, source: Source, day: NaiveDate) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO packed_days (source, day, version, format)
           SELECT source, $2, version, $3 FROM payment_versions WHERE source = $1
               ON CONFLICT (source, day) DO UPDATE SET version = excluded.version, format = excluded.format"#,
        source.as_str(),
        day,
        FORMAT
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM packed_cells WHERE facet = ANY($1) AND width = ANY($2) AND day = $3 AND source = $4",
        &Facet::ALL.map(Facet::as_str) as &[&str],
        &WIDTHS.map(Width::as_str) as &[&str],
        day,
        source.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The packed rows of a facet on a day.
pub async fn list(
    connection: &mut PgConnection,
    (source, day, facet): (Source, NaiveDate, Facet),
) -> Result<Vec<PackedRow>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT width, project, member, cells FROM packed_cells
            WHERE facet = $1 AND width = ANY($2) AND day = $3 AND source = $4"#,
        facet.as_str(),
        &WIDTHS.map(Width::as_str) as &[&str],
        day,
        source.as_str()
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let width =
                Width::from_name(&row.width).ok_or_else(|| DbError::impossible("packed_cells.width", row.width))?;
            Ok(PackedRow { width, project: row.project, member: row.member, cells: row.cells })
        })
        .collect()
}

pub async fn insert(
    connection: &mut PgConnection,
    (source, day, facet): (Source, NaiveDate, Facet),
    rows: &[PackedRow],
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO packed_cells (facet, width, day, source, project, member, cells)
           SELECT $1, width, $2, $3, project, member, cells
             FROM UNNEST($4::text[], $5::text[], $6::text[], $7::bytea[]) AS packed (width, project, member, cells)"#,
        facet.as_str(),
        day,
        source.as_str(),
        &column(rows, |row| row.width.as_str()) as &[&str],
        &column(rows, |row| row.project.as_str()) as &[&str],
        &column(rows, |row| row.member.as_str()) as &[&str],
        &column(rows, |row| row.cells.as_slice()) as &[&[u8]]
    )
    .execute(connection)
    .await?;
    Ok(())
}
