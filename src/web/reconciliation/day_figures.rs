//! What the last completed run of a day counted, in the shape that dashboards know.

use poem_openapi::Object;
use rust_decimal::Decimal;

use super::figures::{CurrencyAmounts, ReconciliationShares, RowsBySide, by_currency};
use crate::domain::reconciliation::tally::{Amounts, AmountsByCurrency, Tally};
use crate::web::http::schema::Money;

/// Payments on which both sides agree.
#[derive(Debug, Clone, Object)]
struct MatchedSummary {
    /// How many.
    count: u64,
    /// Their share of all payments.
    percentage: f64,
    /// What they come to, by Vima's amounts; null where they are in several currencies.
    amount: Option<Money>,
}

/// Discrepancies by the type that each is counted by.
#[derive(Debug, Clone, Object)]
struct DiscrepanciesByType {
    /// The amounts differ, and perhaps the statuses too.
    amount: u64,
    /// The statuses alone differ.
    status: u64,
}

/// Payments on which the sides disagree.
#[derive(Debug, Clone, Object)]
struct DiscrepanciesSummary {
    /// How many.
    count: u64,
    /// Their share of all payments.
    percentage: f64,
    /// What is at risk; null where it is in several currencies.
    amount: Option<Money>,
    /// How many of each type.
    by_type: DiscrepanciesByType,
}

/// Payments that one side does not know.
#[derive(Debug, Clone, Object)]
struct MissingSummary {
    /// How many.
    count: u64,
    /// Their share of all payments.
    percentage: f64,
    /// Those that only PayShack knows of.
    missing_vima: u64,
    /// Those that only Vima knows of.
    missing_payshack: u64,
}

/// Payments of which it is too early to say.
#[derive(Debug, Clone, Object)]
struct PendingSummary {
    /// How many.
    count: u64,
    /// Their share of all payments.
    percentage: f64,
}

/// The figures of a day; all 0 where no run has completed. The percentages are of all payments, each counted once, and add up
/// to 100 exactly, or are all 0 where there are none.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct DayFigures {
    /// Payments, each counted once, but for rows too many and rows without a key.
    total_transactions: u64,
    /// Every row of Vima's that belongs to the day.
    total_vima: u64,
    /// Every row of PayShack's that belongs to the day; that of a pair goes with Vima's.
    total_payshack: u64,
    /// The currency of the amounts; null where there are none, or several currencies.
    currency: Option<String>,
    /// On which both sides agree.
    matched: MatchedSummary,
    /// On which they disagree.
    discrepancies: DiscrepanciesSummary,
    /// That one side does not know.
    missing: MissingSummary,
    /// Of which it is too early to say.
    pending: PendingSummary,
    /// Rows too many.
    duplicates: RowsBySide,
    /// Rows without a key.
    unmatchable: RowsBySide,
    /// What the payments come to, by currency.
    amounts: Vec<CurrencyAmounts>,
}

impl DayFigures {
    /// What a run counted.
    pub(in crate::web) fn of(tally: &Tally, amounts: &AmountsByCurrency) -> Self {
        let shares = ReconciliationShares::from(tally);
        let sum = |of: fn(&Amounts) -> Decimal| (amounts.len() < 2).then(|| Money(amounts.values().map(of).sum()));
        Self {
            total_transactions: tally.keys(),
            total_vima: tally.total.vima,
            total_payshack: tally.total.payshack,
            currency: amounts.keys().next().filter(|_| amounts.len() == 1).cloned(),
            matched: MatchedSummary {
                count: tally.matched,
                percentage: shares.matched,
                amount: sum(|amounts| amounts.matched),
            },
            discrepancies: DiscrepanciesSummary {
                count: tally.discrepancies(),
                percentage: shares.discrepancies,
                amount: sum(|amounts| amounts.amount + amounts.status),
                by_type: DiscrepanciesByType { amount: tally.amount_discrepancies, status: tally.status_discrepancies },
            },
            missing: MissingSummary {
                count: tally.missing(),
                percentage: shares.missing,
                missing_vima: tally.missing_vima,
                missing_payshack: tally.missing_payshack,
            },
            pending: PendingSummary { count: tally.pending, percentage: shares.pending },
            duplicates: tally.duplicates.into(),
            unmatchable: tally.unmatchable.into(),
            amounts: by_currency(amounts),
        }
    }
}
