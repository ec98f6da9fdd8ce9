//! The cells of the metrics: moved by differences, inside the transaction that made them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::DbError;
use crate::domain::rollup::{Cell, Measures};

/// Moves cells by differences, in the order given (callers sort, so that writers never wait in a circle).
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn move_cells(connection: &mut PgConnection, moves: &[(Cell, Measures)]) -> Result<(), DbError> {
    if moves.is_empty() {
        return Ok(());
    }
    let text = |field: fn(&Cell) -> &str| -> Vec<&str> { moves.iter().map(|(cell, _)| field(cell)).collect() };
    sqlx::query!(
        r#"INSERT INTO rollup_cells AS stored
                  (bucket, source, kind, project, merchant_id, country, payment_method, currency, status,
                   count, amount, amount_usd, fee, fee_usd, usd_missing)
           SELECT * FROM UNNEST($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                                $7::text[], $8::text[], $9::text[], $10::bigint[], $11::numeric[], $12::numeric[],
                                $13::numeric[], $14::numeric[], $15::bigint[])
               ON CONFLICT (bucket, source, kind, project, merchant_id, country, payment_method, currency, status)
               DO UPDATE
              SET count = stored.count + excluded.count,
                  amount = stored.amount + excluded.amount,
                  amount_usd = stored.amount_usd + excluded.amount_usd,
                  fee = stored.fee + excluded.fee,
                  fee_usd = stored.fee_usd + excluded.fee_usd,
                  usd_missing = stored.usd_missing + excluded.usd_missing"#,
        &moves.iter().map(|(cell, _)| cell.bucket).collect::<Vec<DateTime<Utc>>>(),
        &text(|cell| cell.source.as_str()) as &[&str],
        &text(|cell| cell.kind.as_str()) as &[&str],
        &text(|cell| &cell.project) as &[&str],
        &text(|cell| &cell.merchant_id) as &[&str],
        &text(|cell| &cell.country) as &[&str],
        &text(|cell| &cell.payment_method) as &[&str],
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
