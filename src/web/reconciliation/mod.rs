//! Reconciliation: runs and what they found, a day's summary, and the cases that people work on.

mod discrepancies;
mod discrepancy;
mod discrepancy_detail;
mod discrepancy_move;
pub(super) mod discrepancy_query;

use poem_openapi::OpenApi;

/// The operations.
pub(super) fn operations() -> impl OpenApi + 'static {
    discrepancies::DiscrepanciesApi
}
