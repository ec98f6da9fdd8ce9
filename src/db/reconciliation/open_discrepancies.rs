//! What is left to look into, by day and currency.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgPool;

use crate::db::DbError;

/// Unresolved cases of one day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDiscrepancies {
    /// The day.
    pub recon_date: NaiveDate,
    /// The currency.
    pub currency: Option<String>,
    /// How many there are.
    pub count: u64,
    /// What is at risk: the difference, where only the amounts differ in one currency, and else all of Vima's amount, or of
    /// the only row's.
    pub at_risk: Decimal,
}

/// Unresolved cases of all days up to `until`, the first day first.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
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
    let cases = rows.into_iter().map(|row| OpenDiscrepancies {
        recon_date: row.recon_date,
        currency: row.currency,
        count: row.count.unsigned_abs(),
        at_risk: row.at_risk,
    });
    Ok(cases.collect())
}
