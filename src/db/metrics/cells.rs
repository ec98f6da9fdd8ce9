//! Rollup cells: updated by differences in the transaction that changes transactions, and rebuilt from them on request.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use crate::db::DbError;
use crate::db::types::column;
use crate::domain::metrics::cell::{Cell, Measures, Width};
use crate::domain::sync::day_start;
use crate::domain::transaction::Source;

/// Adds differences to cells. The caller has locked their source.
pub async fn add_to_cells(connection: &mut PgConnection, differences: &[(Cell, Measures)]) -> Result<(), DbError> {
    if differences.is_empty() {
        return Ok(());
    }
    let text = |field: fn(&Cell) -> &str| -> Vec<&str> { column(differences, |(cell, _)| field(cell)) };
    sqlx::query!(
        r#"INSERT INTO metric_cells AS existing
                  (facet, width, project, member, bucket, source, kind, currency, status,
                   count, amount, amount_usd, fee, fee_usd, usd_missing)
           SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
                                $7::text[], $8::text[], $9::text[], $10::bigint[], $11::numeric[], $12::numeric[],
                                $13::numeric[], $14::numeric[], $15::bigint[])
               ON CONFLICT (facet, width, project, member, bucket, source, kind, currency, status)
               DO UPDATE
              SET count = existing.count + excluded.count,
                  amount = existing.amount + excluded.amount,
                  amount_usd = existing.amount_usd + excluded.amount_usd,
                  fee = existing.fee + excluded.fee,
                  fee_usd = existing.fee_usd + excluded.fee_usd,
                  usd_missing = existing.usd_missing + excluded.usd_missing"#,
        &text(|cell| cell.facet.as_str()) as &[&str],
        &text(|cell| cell.width.as_str()) as &[&str],
        &text(|cell| &cell.project) as &[&str],
        &text(|cell| &cell.member) as &[&str],
        &column(differences, |(cell, _)| cell.bucket),
        &text(|cell| cell.source.as_str()) as &[&str],
        &text(|cell| cell.kind.as_str()) as &[&str],
        &text(|cell| &cell.currency) as &[&str],
        &text(|cell| cell.status.as_str()) as &[&str],
        &column(differences, |(_, measures)| measures.count),
        &column(differences, |(_, measures)| measures.amount),
        &column(differences, |(_, measures)| measures.amount_usd),
        &column(differences, |(_, measures)| measures.fee),
        &column(differences, |(_, measures)| measures.fee_usd),
        &column(differences, |(_, measures)| measures.usd_missing),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Lists the UTC days from the first to the last with transactions or cells.
pub async fn list_days(connection: &mut PgConnection) -> Result<Vec<NaiveDate>, DbError> {
    let row = sqlx::query!(
        r#"SELECT LEAST((SELECT min(created_at) FROM transactions),
                        (SELECT min(bucket) FROM metric_cells
                          WHERE facet = 'all' AND width = 'day' AND project = '' AND member = '')) AS first,
                  GREATEST((SELECT max(created_at) FROM transactions),
                           (SELECT max(bucket) FROM metric_cells
                             WHERE facet = 'all' AND width = 'day' AND project = '' AND member = '')) AS last"#
    )
    .fetch_one(connection)
    .await?;
    let bounds = row.first.zip(row.last).map(|(first, last)| (first.date_naive(), last.date_naive()));
    Ok(bounds.into_iter().flat_map(|(first, last)| first.iter_days().take_while(move |day| *day <= last)).collect())
}

/// Counts the cells of `source` on `day` that differ from its transactions.
pub async fn count_mismatches(connection: &mut PgConnection, source: Source, day: NaiveDate) -> Result<u64, DbError> {
    let (since, before) = bounds(day);
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM odd_metric_cells($1, $2, $3)"#,
        source.as_str(),
        since,
        before
    );
    Ok(count.fetch_one(connection).await?.unsigned_abs())
}

/// Rebuilds the cells of `source` on `day` from its transactions, and returns how many differed. The caller has locked the
/// source.
pub async fn repair(connection: &mut PgConnection, source: Source, day: NaiveDate) -> Result<u64, DbError> {
    let (since, before) = bounds(day);
    let repaired = sqlx::query!(
        r#"INSERT INTO metric_cells SELECT * FROM odd_metric_cells($1, $2, $3)
               ON CONFLICT (facet, width, project, member, bucket, source, kind, currency, status)
               DO UPDATE
              SET count = excluded.count, amount = excluded.amount, amount_usd = excluded.amount_usd,
                  fee = excluded.fee, fee_usd = excluded.fee_usd, usd_missing = excluded.usd_missing"#,
        source.as_str(),
        since,
        before
    )
    .execute(connection)
    .await?;
    Ok(repaired.rows_affected())
}

fn bounds(day: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
    let since = day_start(day);
    (since, since + Width::Day.length())
}
