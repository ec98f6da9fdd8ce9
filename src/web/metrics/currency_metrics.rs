//! The metrics of a group of transactions by currency: what can be added up whatever the group contains.

use poem_openapi::Object;

use super::tally::Tally;
use crate::domain::metrics::query::Depth;
use crate::domain::status::Status;
use crate::web::http::schema::{Money, Usd};

/// The transactions in one currency. Amounts are null in answers that only count; fees are null in answers that do not add
/// them up.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct CurrencyMetrics {
    /// The currency (ISO 4217 code).
    currency: String,
    /// Number of transactions.
    count: i64,
    /// Sum of the amounts, in `currency`.
    amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    amount_usd: Option<Usd>,
    /// Number of successful transactions.
    success_count: i64,
    /// Sum of the amounts of successful transactions, in `currency`.
    success_amount: Option<Money>,
    /// Number of failed transactions.
    failed_count: i64,
    /// Sum of the amounts of failed transactions, in `currency`.
    failed_amount: Option<Money>,
    /// Number of pending and processing transactions.
    pending_count: i64,
    /// Sum of the fees, in `currency`; only the overview has it.
    fee: Option<Money>,
    /// Number of transactions without an exchange rate, which the sum in US dollars leaves out.
    usd_missing_count: Option<i64>,
}

impl CurrencyMetrics {
    /// One for each currency of `tally`, whose sums have this depth.
    pub(in crate::web) fn list(tally: &Tally, depth: Depth) -> Vec<Self> {
        tally.by_currency().map(|(currency, tally)| Self::new(currency, &tally, depth)).collect()
    }

    fn new(currency: &str, tally: &Tally, depth: Depth) -> Self {
        let (total, success, failed) = (tally.total(), tally.measures(Status::Success), tally.measures(Status::Failed));
        let has_amounts = depth >= Depth::Amounts;
        Self {
            currency: currency.to_owned(),
            count: total.count,
            amount: has_amounts.then_some(Money(total.amount)),
            amount_usd: has_amounts.then_some(Usd(total.amount_usd)),
            success_count: success.count,
            success_amount: has_amounts.then_some(Money(success.amount)),
            failed_count: failed.count,
            failed_amount: has_amounts.then_some(Money(failed.amount)),
            pending_count: tally.pending_count(),
            fee: (depth >= Depth::Fees).then_some(Money(total.fee)),
            usd_missing_count: has_amounts.then_some(total.usd_missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::{Example, ToJSON};
    use rust_decimal::Decimal;
    use serde_json::json;

    use super::*;
    use crate::domain::metrics::query::MetricRow;

    #[test]
    fn currencies_are_added_up_apart_and_only_as_deep_as_the_query() {
        let mut rows = vec![MetricRow::example(), MetricRow::example(), MetricRow::example()];
        rows[1].currency = "EUR".to_owned();
        rows[1].measures.amount_usd = Decimal::new(10_005, 3);
        rows[2].status = Status::Failed;
        let tally = Tally::from_rows(&rows);
        let shown = |depth, fields: &[&str]| -> Vec<serde_json::Value> {
            let parts = CurrencyMetrics::list(&tally, depth).to_json().expect("JSON");
            let parts = parts.as_array().expect("a list").iter();
            parts.map(|part| fields.iter().map(|field| part[*field].clone()).collect()).collect()
        };
        let counts = ["currency", "count", "success_count", "failed_count"];
        assert_eq!(shown(Depth::Counts, &counts), [json!(["EUR", 120, 120, 0]), json!(["INR", 240, 120, 120])]);
        let sums = ["amount", "amount_usd", "fee"];
        assert_eq!(shown(Depth::Counts, &sums), [json!([null, null, null]), json!([null, null, null])]);
        // Half a cent is rounded away from zero.
        assert_eq!(
            shown(Depth::Amounts, &sums),
            [json!(["185100.00", "10.01", null]), json!(["370200.00", "4442.40", null])]
        );
        assert_eq!(shown(Depth::Fees, &["fee"]), [json!(["3702.00"]), json!(["7404.00"])]);
    }
}
