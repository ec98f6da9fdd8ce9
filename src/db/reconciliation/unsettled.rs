//! Days that want another look.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use crate::db::DbError;

/// A day, and the instants that it begins and ends at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBounds {
    /// The day.
    pub date: NaiveDate,
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
}

/// Those of `days` that another run may say more about, the first one first: its last completed run found something pending,
/// or saw a side that had not been read past the end of the day; or a case of it is unresolved; or it has no completed run,
/// but payments.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list_unsettled(connection: &mut PgConnection, days: &[DayBounds]) -> Result<Vec<NaiveDate>, DbError> {
    let dates: Vec<NaiveDate> = days.iter().map(|day| day.date).collect();
    let beginnings: Vec<DateTime<Utc>> = days.iter().map(|day| day.from).collect();
    let ends: Vec<DateTime<Utc>> = days.iter().map(|day| day.until).collect();
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
        &dates,
        &beginnings,
        &ends
    )
    .fetch_all(connection)
    .await?;
    Ok(unsettled)
}
