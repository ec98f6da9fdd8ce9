//! The figures of a run, as runs and summaries tell them alike.

use poem_openapi::Object;

use crate::domain::reconciliation::tally::{Amounts, AmountsByCurrency, BySide, Tally};
use crate::web::http::schema::Money;

/// How many rows, by the side that told them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Object)]
pub(in crate::web) struct RowsBySide {
    /// Of both sides.
    count: u64,
    /// Of Vima.
    vima: u64,
    /// Of PayShack.
    payshack: u64,
}

impl From<BySide> for RowsBySide {
    fn from(rows: BySide) -> Self {
        Self { count: rows.sum(), vima: rows.vima, payshack: rows.payshack }
    }
}

/// What became of the rows of a day. A payment is counted once, however many rows tell of it.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct ReconciliationCounts {
    /// Payments, each counted once: the sum of `matched`, the discrepancies, what is missing and `pending`.
    total_transactions: u64,
    /// Rows of Vima's that belong to the day.
    total_vima: u64,
    /// Rows of PayShack's that belong to the day.
    total_payshack: u64,
    /// Payments on which both sides agree.
    matched: u64,
    /// Payments on whose amount they disagree, and perhaps on the status too.
    amount_discrepancies: u64,
    /// Payments on whose status alone they disagree.
    status_discrepancies: u64,
    /// Payments that only PayShack knows of.
    missing_vima: u64,
    /// Payments that only Vima knows of.
    missing_payshack: u64,
    /// Payments of which it is too early to say.
    pending: u64,
    /// The rows of those; a pending pair has one on either side.
    pending_rows: RowsBySide,
    /// Rows too many.
    duplicates: RowsBySide,
    /// Rows without a key.
    unmatchable: RowsBySide,
}

impl From<&Tally> for ReconciliationCounts {
    fn from(tally: &Tally) -> Self {
        Self {
            total_transactions: tally.keys(),
            total_vima: tally.total.vima,
            total_payshack: tally.total.payshack,
            matched: tally.matched,
            amount_discrepancies: tally.amount_discrepancies,
            status_discrepancies: tally.status_discrepancies,
            missing_vima: tally.missing_vima,
            missing_payshack: tally.missing_payshack,
            pending: tally.pending,
            pending_rows: tally.pending_rows.into(),
            duplicates: tally.duplicates.into(),
            unmatchable: tally.unmatchable.into(),
        }
    }
}

/// Shares of all payments in percent, with two decimals; they add up to 100 exactly, or are all 0 where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Object)]
pub(in crate::web) struct ReconciliationShares {
    /// On which both sides agree.
    pub(in crate::web) matched: f64,
    /// On which they disagree.
    pub(in crate::web) discrepancies: f64,
    /// That one side does not know.
    pub(in crate::web) missing: f64,
    /// Of which it is too early to say.
    pub(in crate::web) pending: f64,
}

impl From<&Tally> for ReconciliationShares {
    fn from(tally: &Tally) -> Self {
        // At most 10,000 of them, which a float holds as they are.
        let percent = |hundredths: u64| f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0;
        let [matched, discrepancies, missing, pending] = tally.shares().map(percent);
        Self { matched, discrepancies, missing, pending }
    }
}

/// What is at risk: the difference, where only the amounts differ, and else all of Vima's amount, or of the only row's.
#[derive(Debug, Clone, Object)]
struct AmountsAtRisk {
    /// Where the amounts differ.
    amount: Money,
    /// Where only the statuses differ.
    status: Money,
    /// Known to PayShack alone.
    missing_vima: Money,
    /// Known to Vima alone.
    missing_payshack: Money,
    /// Of rows too many.
    duplicate: Money,
}

/// What the payments of a day come to in one currency.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct CurrencyAmounts {
    /// The currency.
    currency: String,
    /// What both sides agree on, by Vima's amounts.
    matched: Money,
    /// What is at risk.
    at_risk: AmountsAtRisk,
    /// What it is too early to say of.
    pending: Money,
}

/// The amounts by currency: they are never added up across two.
pub(in crate::web) fn by_currency(amounts: &AmountsByCurrency) -> Vec<CurrencyAmounts> {
    let shown = |(currency, amounts): (&String, &Amounts)| CurrencyAmounts {
        currency: currency.clone(),
        matched: Money(amounts.matched),
        at_risk: AmountsAtRisk {
            amount: Money(amounts.amount),
            status: Money(amounts.status),
            missing_vima: Money(amounts.missing_vima),
            missing_payshack: Money(amounts.missing_payshack),
            duplicate: Money(amounts.duplicate),
        },
        pending: Money(amounts.pending),
    };
    amounts.iter().map(shown).collect()
}
