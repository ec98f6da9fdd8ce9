//! Reconciliation: runs and their results, the summary of a day, and discrepancies.

mod bulk_actions;
mod day_figures;
mod discrepancies;
mod discrepancy;
mod discrepancy_detail;
mod discrepancy_update;
mod facts;
mod figures;
mod open_discrepancies;
mod results;
mod run_request;
mod runs;
mod summary;

use poem_openapi::OpenApi;

pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (
        summary::SummaryApi,
        discrepancies::DiscrepanciesApi,
        bulk_actions::DiscrepancyBulkActionsApi,
        run_request::RunRequestApi,
        runs::RunsApi,
        results::ResultsApi,
    )
}
