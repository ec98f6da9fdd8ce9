//! Turns the filters of a list into the source of an export.

use chrono_tz::Tz;

use super::query::{FileQuery, FileZoneQuery};
use crate::operations::export::sources::metrics_summary::MetricsSummaryExport;
use crate::operations::export::sources::payshack_clients::PayshackClientsExport;
use crate::operations::export::sources::reconciliation::ReconciliationExport;
use crate::operations::export::sources::transactions::TransactionsExport;
use crate::tabular::FileOptions;
use crate::web::filters::discrepancies::DiscrepancyQuery;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::payshack::MetadataQuery;
use crate::web::filters::transactions::TransactionQuery;
use crate::web::http::auth::Caller;
use crate::web::http::problem::Problem;
use crate::web::state::State;

pub(in crate::web) type ParsedExport<S> = (S, FileOptions);

pub(in crate::web) fn transactions(
    state: &State,
    caller: &Caller,
    query: TransactionQuery,
    file: FileQuery,
) -> Result<ParsedExport<TransactionsExport>, Problem> {
    let zone = query.zone(state.report_timezone);
    let (days, sort_by, order) = (query.days(), query.sort_by.unwrap_or_default(), query.order.unwrap_or_default());
    let filter = query.filter(state.report_timezone, state.reconciled_projects(), caller)?;
    let export = TransactionsExport { filter, days, zone, sort_by, order, pii_access: caller.pii_access() };
    Ok((export, file.options(zone)))
}

pub(in crate::web) fn reconciliation(
    state: &State,
    caller: &Caller,
    query: &DiscrepancyQuery,
    file: FileQuery,
    file_zone: &FileZoneQuery,
) -> Result<ParsedExport<ReconciliationExport>, Problem> {
    let (now, zone): (_, Tz) = (state.clock.now(), state.reconciliation.zone);
    let filter = query.filter(now.with_timezone(&zone).date_naive(), caller)?;
    Ok((
        ReconciliationExport { filter, zone, requested_at: now, pii_access: caller.pii_access() },
        file.options(file_zone.zone(zone)),
    ))
}

pub(in crate::web) fn metrics_summary(
    state: &State,
    caller: &Caller,
    query: &MetricsQuery,
    file: FileQuery,
) -> Result<ParsedExport<MetricsSummaryExport>, Problem> {
    let days = query.days(state)?;
    let filter = query.filter(state.reconciled_projects(), caller)?;
    Ok((MetricsSummaryExport { filter, days }, file.options(days.zone())))
}

pub(in crate::web) fn payshack_clients(
    state: &State,
    caller: &Caller,
    query: MetadataQuery,
    file: FileQuery,
    file_zone: &FileZoneQuery,
) -> ParsedExport<PayshackClientsExport> {
    let export = PayshackClientsExport { filter: query.into(), pii_access: caller.pii_access() };
    (export, file.options(file_zone.zone(state.report_timezone)))
}
