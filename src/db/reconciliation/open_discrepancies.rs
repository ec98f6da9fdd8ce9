//! Unresolved discrepancies, by day and currency.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgPool;

use crate::db::DbError;

/// Of one day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDiscrepancies {
    pub recon_date: NaiveDate,
    pub currency: Option<String>,
    pub count: u64,
    /// The difference if only the amounts differ, in one currency; otherwise the whole amount of Vima's row, or of the only row.
    pub at_risk: Decimal,
}

/// Of all days up to `until`, oldest first.
pub async fn sum_unresolved(pool: &PgPool, until: NaiveDate) -> Result<Vec<OpenDiscrepancies>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT recon_date, COALESCE(vima_currency, payshack_currency) AS currency, count(*) AS "count!",
                  COALESCE(sum(CASE WHEN types = ARRAY['amount'] AND amount_diff IS NOT NULL THEN abs(amount_diff)
                                    ELSE COALESCE(vima_amount, payshack_amount) END), 0) AS "at_risk!"
             FROM discrepancies
            WHERE state IN ('open', 'acknowledged') AND recon_date <= $1
            GROUP BY 1, 2 ORDER BY 1, 2"#,
        until
    )
    .fetch_all(pool)
    .await?;
    let sums = rows.into_iter().map(|row| OpenDiscrepancies {
        recon_date: row.recon_date,
        currency: row.currency,
        count: row.count.unsigned_abs(),
        at_risk: row.at_risk,
    });
    Ok(sums.collect())
}
