//! Days that should be reconciled again.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use crate::db::DbError;
use crate::db::types::column;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBounds {
    pub date: NaiveDate,
    /// The first instant of the day.
    pub from: DateTime<Utc>,
    /// The first instant of the next day.
    pub until: DateTime<Utc>,
}

/// Lists those of `days` for which another run may have other results, oldest first: days whose last completed run found
/// something pending, or a side that was not read past the end of the day; days with unresolved discrepancies; and days with
/// transactions but no completed run.
pub async fn list_unsettled(connection: &mut PgConnection, days: &[DayBounds]) -> Result<Vec<NaiveDate>, DbError> {
    let unsettled = sqlx::query_scalar!(
        r#"SELECT day.date AS "date!"
             FROM unnest($1::date[], $2::timestamptz[], $3::timestamptz[]) AS day (date, begins, ends)
                  LEFT JOIN LATERAL (
                      SELECT pending > 0 OR COALESCE(vima_watermark < day_until, true)
                                 OR COALESCE(payshack_watermark < day_until, true) AS unsettled
                        FROM reconciliation_runs WHERE recon_date = day.date AND version IS NOT NULL
                       ORDER BY version DESC LIMIT 1) AS last ON true
            WHERE COALESCE(last.unsettled,
                           EXISTS (SELECT 1 FROM transactions
                                    WHERE kind = 'payin' AND created_at >= day.begins AND created_at < day.ends))
               OR EXISTS (SELECT 1 FROM discrepancies
                           WHERE recon_date = day.date AND state IN ('open', 'acknowledged'))
            ORDER BY day.date"#,
        &column(days, |day| day.date),
        &column(days, |day| day.from),
        &column(days, |day| day.until)
    )
    .fetch_all(connection)
    .await?;
    Ok(unsettled)
}
