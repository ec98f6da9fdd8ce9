//! Response objects that several metrics endpoints use: the metrics of a group of transactions.

use poem_openapi::Object;

use super::currency_metrics::CurrencyMetrics;
use super::tally::Tally;
use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::query::{Depth, MetricRow};
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::web::filters::rows_link::RowsLink;
use crate::web::http::schema::{Money, Usd};

/// The metrics of a group of transactions, such as those of a project or of a period.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct GroupMetrics {
    /// The currency of the amounts; null if the transactions have several currencies (all amounts except those in US dollars
    /// are null too) or if there are none.
    pub(in crate::web) currency: Option<String>,
    /// Number of transactions.
    pub(in crate::web) total_count: i64,
    /// Sum of the amounts, in `currency`.
    pub(in crate::web) total_amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    pub(in crate::web) total_amount_usd: Usd,
    /// Number of successful transactions.
    pub(in crate::web) success_count: i64,
    /// Sum of the amounts of successful transactions, in `currency`.
    pub(in crate::web) success_amount: Option<Money>,
    /// Sum of the amounts of successful transactions in US dollars, without those that have no exchange rate.
    pub(in crate::web) success_amount_usd: Usd,
    /// Number of failed transactions.
    pub(in crate::web) failed_count: i64,
    /// Sum of the amounts of failed transactions, in `currency`.
    pub(in crate::web) failed_amount: Option<Money>,
    /// Sum of the amounts of failed transactions in US dollars, without those that have no exchange rate.
    pub(in crate::web) failed_amount_usd: Usd,
    /// Number of pending and processing transactions.
    pub(in crate::web) pending_count: i64,
    /// Number of transactions without an exchange rate, which the sums in US dollars leave out.
    pub(in crate::web) usd_missing_count: i64,
    /// Successful transactions in percent of all; null if there are none.
    pub(in crate::web) conversion_rate: Option<f64>,
    /// Mean amount of a transaction, in `currency`; null if there are none.
    pub(in crate::web) avg_ticket: Option<Money>,
    /// The sums by currency.
    pub(in crate::web) by_currency: Vec<CurrencyMetrics>,
    /// The path and query of the list of these transactions; null if there are none.
    pub(in crate::web) rows_url: Option<String>,
}

impl GroupMetrics {
    /// `link` leads to the transactions of the group.
    pub(in crate::web) fn new(tally: &Tally, link: &RowsLink) -> Self {
        let (total, success, failed) = (tally.total(), tally.measures(Status::Success), tally.measures(Status::Failed));
        Self {
            currency: tally.currency(),
            total_count: total.count,
            total_amount: tally.money(total.amount),
            total_amount_usd: Usd(total.amount_usd),
            success_count: success.count,
            success_amount: tally.money(success.amount),
            success_amount_usd: Usd(success.amount_usd),
            failed_count: failed.count,
            failed_amount: tally.money(failed.amount),
            failed_amount_usd: Usd(failed.amount_usd),
            pending_count: tally.pending_count(),
            usd_missing_count: total.usd_missing,
            conversion_rate: tally.conversion_rate(),
            avg_ticket: tally.avg_ticket(),
            by_currency: CurrencyMetrics::list(tally, Depth::Amounts),
            rows_url: link.to(total.count),
        }
    }
}

/// A part of the transactions that a response covers.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct Share {
    /// Number of transactions.
    pub(in crate::web) count: i64,
    /// Sum of the amounts; null if the transactions of the response have several currencies.
    pub(in crate::web) amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    pub(in crate::web) amount_usd: Usd,
    /// The path and query of the list of these transactions; null if there are none.
    pub(in crate::web) rows_url: Option<String>,
}

impl Share {
    /// `link` leads to the transactions of the part.
    pub(in crate::web) fn new(whole: &Tally, part: Measures, link: &RowsLink) -> Self {
        let Measures { count, amount, amount_usd, .. } = part;
        Self { count, amount: whole.money(amount), amount_usd: Usd(amount_usd), rows_url: link.to(count) }
    }
}

/// Transactions by source.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct BySource {
    /// Transactions reported by Vima.
    pub(in crate::web) vima: Share,
    /// Transactions reported by PayShack.
    pub(in crate::web) payshack: Share,
}

impl BySource {
    /// `whole` is the tally of all `rows`, to which `link` leads.
    pub(in crate::web) fn new<'rows>(
        whole: &Tally,
        rows: impl Iterator<Item = &'rows MetricRow>,
        link: &RowsLink,
    ) -> Self {
        let tallies = Tally::by_key(rows, |row| row.source);
        let share = |source: Source| {
            let part = tallies.get(&Some(source)).map(Tally::total).unwrap_or_default();
            Share::new(whole, part, &link.with("source", source.as_str()))
        };
        Self { vima: share(Source::Vima), payshack: share(Source::Payshack) }
    }
}
