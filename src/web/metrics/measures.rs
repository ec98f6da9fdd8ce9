//! What payments that share something sum up to: the measures of a row, whatever its rows are told apart by.

use poem_openapi::Object;

use super::tally::{Share, Tally};
use crate::domain::metrics::query::MetricRow;
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::web::http::schema::Money;

/// What payments sum up to.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct PaymentMeasures {
    /// Their currency; null where they have several, and amounts are null with it.
    pub(in crate::web) currency: Option<String>,
    /// How many payments.
    pub(in crate::web) total_count: i64,
    /// The sum of their amounts.
    pub(in crate::web) total_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    pub(in crate::web) total_amount_usd: Money,
    /// How many succeeded.
    pub(in crate::web) success_count: i64,
    /// The sum of their amounts.
    pub(in crate::web) success_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    pub(in crate::web) success_amount_usd: Money,
    /// How many failed.
    pub(in crate::web) failed_count: i64,
    /// The sum of their amounts.
    pub(in crate::web) failed_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    pub(in crate::web) failed_amount_usd: Money,
    /// How many wait: pending and processing together.
    pub(in crate::web) pending_count: i64,
    /// How many have no rate, and so are not in the sums in US dollars.
    pub(in crate::web) usd_missing_count: i64,
    /// Successful payments of all, in percent; null where there are none.
    pub(in crate::web) conversion_rate: Option<f64>,
    /// The mean amount.
    pub(in crate::web) avg_ticket: Option<Money>,
}

impl From<&Tally> for PaymentMeasures {
    fn from(tally: &Tally) -> Self {
        let (all, success, failed) = (tally.all(), tally.in_state(Status::Success), tally.in_state(Status::Failed));
        Self {
            currency: tally.currency(),
            total_count: all.count,
            total_amount: tally.money(all.amount),
            total_amount_usd: Money(all.amount_usd),
            success_count: success.count,
            success_amount: tally.money(success.amount),
            success_amount_usd: Money(success.amount_usd),
            failed_count: failed.count,
            failed_amount: tally.money(failed.amount),
            failed_amount_usd: Money(failed.amount_usd),
            pending_count: tally.pending_count(),
            usd_missing_count: all.usd_missing,
            conversion_rate: tally.conversion_rate(),
            avg_ticket: tally.avg_ticket(),
        }
    }
}

/// Payments by who told of them.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct BySource {
    /// Vima.
    pub(in crate::web) vima: Share,
    /// PayShack.
    pub(in crate::web) payshack: Share,
}

impl BySource {
    /// The parts of `whole`, which `sums` make up.
    pub(in crate::web) fn of<'sums>(whole: &Tally, sums: impl Iterator<Item = &'sums MetricRow>) -> Self {
        let tallies = Tally::by(sums, |sum| sum.source);
        let share = |source| whole.share(tallies.get(&Some(source)).map(Tally::all).unwrap_or_default());
        Self { vima: share(Source::Vima), payshack: share(Source::Payshack) }
    }
}
