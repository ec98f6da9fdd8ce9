//! The cells of the metrics: moved by differences, inside the transaction that made them; counted anew where they are doubted.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use crate::db::DbError;
use crate::domain::metrics::cell::{Cell, Measures, Width};
use crate::domain::sync::day_start;
use crate::domain::transaction::Source;

/// Moves cells by differences. The caller has the turn of their source.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn move_cells(connection: &mut PgConnection, moves: &[(Cell, Measures)]) -> Result<(), DbError> {
    if moves.is_empty() {
        return Ok(());
    }
    let text = |field: fn(&Cell) -> &str| -> Vec<&str> { moves.iter().map(|(cell, _)| field(cell)).collect() };
    sqlx::query!(
        r#"INSERT INTO metric_cells AS stored
                  (facet, width, project, member, bucket, source, kind, currency, status,
                   count, amount, amount_usd, fee, fee_usd, usd_missing)
           SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
                                $7::text[], $8::text[], $9::text[], $10::bigint[], $11::numeric[], $12::numeric[],
                                $13::numeric[], $14::numeric[], $15::bigint[])
               ON CONFLICT (facet, width, project, member, bucket, source, kind, currency, status)
               DO UPDATE
              SET count = stored.count + excluded.count,
                  amount = stored.amount + excluded.amount,
                  amount_usd = stored.amount_usd + excluded.amount_usd,
                  fee = stored.fee + excluded.fee,
                  fee_usd = stored.fee_usd + excluded.fee_usd,
                  usd_missing = stored.usd_missing + excluded.usd_missing"#,
        &text(|cell| cell.facet.as_str()) as &[&str],
        &text(|cell| cell.width.as_str()) as &[&str],
        &text(|cell| &cell.project) as &[&str],
        &text(|cell| &cell.member) as &[&str],
        &moves.iter().map(|(cell, _)| cell.bucket).collect::<Vec<DateTime<Utc>>>(),
        &text(|cell| cell.source.as_str()) as &[&str],
        &text(|cell| cell.kind.as_str()) as &[&str],
        &text(|cell| &cell.currency) as &[&str],
        &text(|cell| cell.status.as_str()) as &[&str],
        &moves.iter().map(|(_, measures)| measures.count).collect::<Vec<_>>(),
        &moves.iter().map(|(_, measures)| measures.amount).collect::<Vec<_>>(),
        &moves.iter().map(|(_, measures)| measures.amount_usd).collect::<Vec<_>>(),
        &moves.iter().map(|(_, measures)| measures.fee).collect::<Vec<_>>(),
        &moves.iter().map(|(_, measures)| measures.fee_usd).collect::<Vec<_>>(),
        &moves.iter().map(|(_, measures)| measures.usd_missing).collect::<Vec<_>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The days of UTC from the first that payments or cells are of to the last; none where there is neither.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
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

/// How many cells of `source` on `day` are not what its payments make them.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
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

/// Makes the cells of `source` on `day` what its payments make them, and says how many were not. The caller has the turn of
/// the source.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn repair(connection: &mut PgConnection, source: Source, day: NaiveDate) -> Result<u64, DbError> {
    let (since, before) = bounds(day);
    let mended = sqlx::query!(
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
    Ok(mended.rows_affected())
}

fn bounds(day: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
    let since = day_start(day);
    (since, since + Width::Day.length())
}
