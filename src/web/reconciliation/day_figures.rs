//! The totals of a day's last completed run, as existing dashboards read them.

use poem_openapi::Object;
use rust_decimal::Decimal;

use super::figures::{CurrencyAmounts, ReconciliationShares, RowsBySide, by_currency};
use crate::domain::reconciliation::tally::{Amounts, AmountsByCurrency, Tally};
use crate::web::http::schema::Money;

/// Payments whose amount and status agree at both providers.
#[derive(Debug, Clone, Object)]
struct MatchedSummary {
    /// The number of payments.
    count: u64,
    /// Their share of all payments, in percent.
    percentage: f64,
    /// The sum of Vima's amounts; null if they are in several currencies.
    amount: Option<Money>,
}

/// The number of discrepancies by type; each is counted once, by the first of its `types`.
#[derive(Debug, Clone, Object)]
struct DiscrepanciesByType {
    /// The amounts differ; the statuses may differ too.
    amount: u64,
    /// Only the statuses differ.
    status: u64,
}

/// Payments whose amount or status differs between the providers.
#[derive(Debug, Clone, Object)]
struct DiscrepanciesSummary {
    /// The number of payments.
    count: u64,
    /// Their share of all payments, in percent.
    percentage: f64,
    /// The amount at risk: the difference if only the amounts differ, otherwise Vima's amount. Null if the amounts are
    /// in several currencies.
    amount: Option<Money>,
    by_type: DiscrepanciesByType,
}

/// Payments that only one provider has.
#[derive(Debug, Clone, Object)]
struct MissingSummary {
    /// The number of payments.
    count: u64,
    /// Their share of all payments, in percent.
    percentage: f64,
    /// Payments missing at Vima: only PayShack has them.
    missing_vima: u64,
    /// Payments missing at PayShack: only Vima has them.
    missing_payshack: u64,
}

/// Payments that cannot be judged yet.
#[derive(Debug, Clone, Object)]
struct PendingSummary {
    /// The number of payments.
    count: u64,
    /// Their share of all payments, in percent.
    percentage: f64,
}

/// The totals of a day; all 0 if no run has completed. The four percentages are shares of all payments, each counted
/// once, and sum to exactly 100, or are all 0 if there are no payments.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct DayFigures {
    /// The number of payments, each counted once. Duplicates and unmatchable rows are not included.
    total_transactions: u64,
    /// The number of Vima's rows that belong to the day, including duplicates and unmatchable rows.
    total_vima: u64,
    /// The number of PayShack's rows that belong to the day, including duplicates and unmatchable rows. The row of a
    /// pair belongs to the day of Vima's row.
    total_payshack: u64,
    /// The currency of the amounts; null if there are no amounts, or several currencies.
    currency: Option<String>,
    /// Payments whose amount and status agree at both providers.
    matched: MatchedSummary,
    /// Payments whose amount or status differs.
    discrepancies: DiscrepanciesSummary,
    /// Payments that only one provider has.
    missing: MissingSummary,
    /// Payments that cannot be judged yet.
    pending: PendingSummary,
    /// Rows of payments that another row of the same provider already represents.
    duplicates: RowsBySide,
    /// Rows without `client_operation_id` (Vima) or `order_id` (PayShack).
    unmatchable: RowsBySide,
    /// The amounts by currency.
    amounts: Vec<CurrencyAmounts>,
}

impl DayFigures {
    pub(in crate::web) fn new(tally: &Tally, amounts: &AmountsByCurrency) -> Self {
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
