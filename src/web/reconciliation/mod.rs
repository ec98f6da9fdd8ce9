//! Reconciliation: runs and what they found, a day's summary, and the cases that people work on.

mod day_figures;
mod discrepancies;
mod discrepancy;
mod discrepancy_detail;
mod discrepancy_move;
mod facts;
mod figures;
mod open_cases;
mod results;
mod run_request;
mod runs;
mod summary;

use poem_openapi::OpenApi;

/// The operations.
pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (
        summary::SummaryApi,
        discrepancies::DiscrepanciesApi,
        run_request::RunRequestApi,
        runs::RunsApi,
        results::ResultsApi,
    )
}
