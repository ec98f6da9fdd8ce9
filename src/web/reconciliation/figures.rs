//! Counts, shares and amounts that runs and summaries share.

use poem_openapi::Object;
use uuid::Uuid;

use crate::db::reconciliation::runs;
use crate::domain::reconciliation::tally::{Amounts, AmountsByCurrency, BySide, Tally};
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};
use crate::web::http::schema::Money;

/// The number of rows, by provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Object)]
pub(in crate::web) struct RowsBySide {
    /// Rows of both providers.
    count: u64,
    /// Rows of Vima.
    vima: u64,
    /// Rows of PayShack.
    payshack: u64,
}

impl From<BySide> for RowsBySide {
    fn from(rows: BySide) -> Self {
        Self { count: rows.sum(), vima: rows.vima, payshack: rows.payshack }
    }
}

/// The counts of a run. A payment is counted once, however many rows it has.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct ReconciliationCounts {
    /// All payments: the sum of `matched`, `amount_discrepancies`, `status_discrepancies`, `missing_vima`,
    /// `missing_payshack` and `pending`.
    total_transactions: u64,
    /// Vima's rows that belong to the day.
    total_vima: u64,
    /// PayShack's rows that belong to the day. The row of a pair belongs to the day of Vima's row.
    total_payshack: u64,
    /// Payments whose amount and status agree.
    matched: u64,
    /// Payments whose amount differs; their status may differ too.
    amount_discrepancies: u64,
    /// Payments of which only the status differs.
    status_discrepancies: u64,
    /// Payments missing at Vima: only PayShack has them.
    missing_vima: u64,
    /// Payments missing at PayShack: only Vima has them.
    missing_payshack: u64,
    /// Payments that cannot be judged yet.
    pending: u64,
    /// The rows of the pending payments; a pending pair has one at each provider.
    pending_rows: RowsBySide,
    /// Rows of payments that another row of the same provider already represents.
    duplicates: RowsBySide,
    /// Rows without `client_operation_id` (Vima) or `order_id` (PayShack).
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

/// The paths and queries of the lists of what was counted. Null if the count is 0, or if the results are deleted. What is matched
/// is not listed: it is only counted. A key with a project scope finds fewer results than the counts, which are of all projects.
#[derive(Debug, Clone, Default, Object)]
pub(in crate::web) struct ResultsUrls {
    /// Payments whose amount differs.
    amount_discrepancies: Option<String>,
    /// Payments of which only the status differs.
    status_discrepancies: Option<String>,
    /// Payments missing at Vima.
    missing_vima: Option<String>,
    /// Payments missing at PayShack.
    missing_payshack: Option<String>,
    /// Payments that cannot be judged yet.
    pending: Option<String>,
    /// Rows of payments that another row of the same provider already represents.
    duplicates: Option<String>,
    /// Rows without `client_operation_id` (Vima) or `order_id` (PayShack).
    unmatchable: Option<String>,
}

impl ResultsUrls {
    /// Of a completed run whose results are stored.
    pub(in crate::web) fn new(run_id: Uuid, tally: &Tally) -> Self {
        let list = |count: u64, status: MatchStatus, discrepancy: Option<DiscrepancyType>| {
            let filter = discrepancy.map(|one| format!("&discrepancy_type={}", one.as_str())).unwrap_or_default();
            let status = status.as_str();
            (count > 0).then(|| format!("/api/v1/reconciliation/runs/{run_id}/results?match_status={status}{filter}"))
        };
        let discrepancies = |count, discrepancy| list(count, MatchStatus::Discrepancy, Some(discrepancy));
        Self {
            amount_discrepancies: discrepancies(tally.amount_discrepancies, DiscrepancyType::Amount),
            status_discrepancies: discrepancies(tally.status_discrepancies, DiscrepancyType::Status),
            missing_vima: list(tally.missing_vima, MatchStatus::MissingVima, None),
            missing_payshack: list(tally.missing_payshack, MatchStatus::MissingPayshack, None),
            pending: list(tally.pending, MatchStatus::Pending, None),
            duplicates: list(tally.duplicates.sum(), MatchStatus::Duplicate, None),
            unmatchable: list(tally.unmatchable.sum(), MatchStatus::Unmatchable, None),
        }
    }
}

impl From<&runs::ReconciliationRun> for ResultsUrls {
    fn from(run: &runs::ReconciliationRun) -> Self {
        let has_results = run.version.is_some() && run.results_deleted_at.is_none();
        if has_results { Self::new(run.id, &run.tally) } else { Self::default() }
    }
}

/// Shares of all payments in percent, with two decimals. They sum to exactly 100, or are all 0 if there are no
/// payments.
#[derive(Debug, Clone, Copy, PartialEq, Object)]
pub(in crate::web) struct ReconciliationShares {
    /// Payments whose amount and status agree.
    pub(in crate::web) matched: f64,
    /// Payments whose amount or status differs.
    pub(in crate::web) discrepancies: f64,
    /// Payments that only one provider has.
    pub(in crate::web) missing: f64,
    /// Payments that cannot be judged yet.
    pub(in crate::web) pending: f64,
}

impl From<&Tally> for ReconciliationShares {
    fn from(tally: &Tally) -> Self {
        // At most 10,000 hundredths, which a float represents exactly.
        let percent = |hundredths: u64| f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0;
        let [matched, discrepancies, missing, pending] = tally.shares().map(percent);
        Self { matched, discrepancies, missing, pending }
    }
}

/// Amounts at risk: the difference if only the amounts differ, otherwise Vima's whole amount, or that of the only row.
#[derive(Debug, Clone, Object)]
struct AmountsAtRisk {
    /// Payments whose amount differs.
    amount: Money,
    /// Payments of which only the status differs.
    status: Money,
    /// Payments that only PayShack has.
    missing_vima: Money,
    /// Payments that only Vima has.
    missing_payshack: Money,
    /// Duplicate rows.
    duplicate: Money,
}

/// The amounts of a day in one currency.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct CurrencyAmounts {
    /// The currency code.
    currency: String,
    /// Vima's amounts of the matched payments.
    matched: Money,
    /// The amounts at risk, by type.
    at_risk: AmountsAtRisk,
    /// The amounts of the pending payments.
    pending: Money,
}

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
