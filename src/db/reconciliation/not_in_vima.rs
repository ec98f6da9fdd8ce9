//! The sums of `PayShack`'s pay-ins that Vima does not have, according to the last completed runs.
//!
//! Results of the last run of each day are few and found by its index; each names a row of `transactions`, whose current values
//! are added up. Rejected: the discrepancies, of which people resolve some although the payment is still missing.

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};

use crate::db::DbError;
use crate::db::transactions::filter;
use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::query::{MetricFilter, MetricRow};
use crate::domain::time_range::TimeRange;
use crate::domain::transaction::Source;

#[derive(FromRow)]
struct SumRow {
    status: String,
    currency: String,
    count: i64,
    amount: Decimal,
    amount_usd: Decimal,
    fee: Decimal,
    fee_usd: Decimal,
    usd_missing: i64,
}

impl TryFrom<SumRow> for MetricRow {
    type Error = DbError;

    fn try_from(row: SumRow) -> Result<Self, DbError> {
        let SumRow { status, currency, count, amount, amount_usd, fee, fee_usd, usd_missing } = row;
        Ok(Self {
            bucket: 0,
            source: Some(Source::Payshack),
            member: String::new(),
            status: status.try_into()?,
            currency,
            measures: Measures { count, amount, amount_usd, fee, fee_usd, usd_missing },
        })
    }
}

/// By status and currency. `payins` are pay-ins of `PayShack`; those created in `range` are added up.
pub async fn sum(pool: &PgPool, payins: &MetricFilter, range: TimeRange) -> Result<Vec<MetricRow>, DbError> {
    let mut query = QueryBuilder::new(
        "SELECT status, currency, count(*) AS count, sum(amount) AS amount, COALESCE(sum(amount_usd), 0) AS amount_usd, \
                COALESCE(sum(fee), 0) AS fee, COALESCE(sum(fee_usd), 0) AS fee_usd, \
                count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing \
           FROM transactions WHERE created_at >= ",
    );
    query.push_bind(range.from).push(" AND created_at < ").push_bind(range.until);
    filter::push(&mut query, payins);
    push_missing(&mut query, range);
    query.push(" GROUP BY status, currency");
    let rows: Vec<SumRow> = query.build_query_as().fetch_all(pool).await?;
    rows.into_iter().map(MetricRow::try_from).collect()
}

/// Adds the condition that the last run of a day found a transaction that was created in `range` to be missing in Vima.
fn push_missing(query: &mut QueryBuilder<Postgres>, range: TimeRange) {
    query.push(
        " AND id = ANY(ARRAY(SELECT payshack_txn_id FROM reconciliation_runs AS runs \
              JOIN reconciliation_results AS results ON results.run_id = runs.id \
             WHERE match_status = 'missing_vima' AND version IS NOT NULL AND runs.recon_date BETWEEN ",
    );
    // The day of a payment depends on the time zone of the reconciliation.
    let (first, last) = (range.from.date_naive(), range.until.date_naive());
    query.push_bind(first.pred_opt().unwrap_or(NaiveDate::MIN)).push(" AND ");
    query.push_bind(last.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX)).push(
        " AND NOT EXISTS (SELECT FROM reconciliation_runs AS later \
                           WHERE later.recon_date = runs.recon_date AND later.version > runs.version)))",
    );
}
