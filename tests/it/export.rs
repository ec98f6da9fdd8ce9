//! Exports: every file holds exactly what the database holds, regardless of its size and of what fails meanwhile.

mod contents;
mod formats;
mod jobs;
mod quotas;
mod streaming;

use chrono_tz::Tz;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::discrepancies::DiscrepancyFilter;
use psp_dashboard::domain::access::{Principal, Role};
use psp_dashboard::domain::masking::PiiAccess;
use psp_dashboard::domain::reconciliation::Parameters;
use psp_dashboard::operations::audit::AuditContext;
use psp_dashboard::operations::export::audit::ExportRequester;
use psp_dashboard::operations::export::sources::reconciliation::ReconciliationExport;
use psp_dashboard::tabular::{FileOptions, Format};
use reqwest::Response;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::harness::test_system::{TestSystem, VIEWER, Web};

const RECONCILIATION: &str = "/api/v1/export/reconciliation";

/// Inserts discrepancies over five days, each with a different amount.
pub(crate) async fn insert_discrepancies(system: &TestSystem, count: i32) {
    sqlx::query!(
        r#"INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, project, vima_txn_id,
                                      payshack_txn_id, vima_amount, payshack_amount, amount_diff, vima_currency,
                                      payshack_currency, vima_status, payshack_status, details, state, first_seen_at,
                                      first_run_id, created_at)
           SELECT gen_random_uuid(), date '2026-01-10' + number % 5, 'order-' || number, 1, 'discrepancy',
                  ARRAY['amount', 'status'], '91game', gen_random_uuid(), gen_random_uuid(), 100 + number / 100.0, 100,
                  number / 100.0, 'INR', 'INR', 'success', 'failed', jsonb_build_object('number', number), 'open',
                  '2026-01-15T20:00:00.5Z', gen_random_uuid(), '2026-01-15T20:00:00.5Z'
             FROM generate_series(1, $1::int) AS number"#,
        count
    )
    .execute(&system.pool)
    .await
    .expect("the database accepts them");
}

/// Inserts completed runs: two of one day, the second with two currencies, and one of another day.
async fn insert_runs(system: &TestSystem) {
    sqlx::query!(
        r#"INSERT INTO reconciliation_runs (id, recon_date, version, status, trigger, started_at, parameters, day_from,
                                            day_until, as_of, vima_watermark, vima_covered_from, payshack_watermark,
                                            payshack_covered_from, total_vima, total_payshack, matched,
                                            amount_discrepancies, pending, pending_vima, amounts)
           SELECT id::uuid, day, version, 'completed', 'schedule', day + 1, $1, day, day + 1, day + 2, day + read,
                  day - 5, day + 2, day - 5, matched + 2 + pending, matched + 2, matched, 2, pending, pending,
                  amounts::jsonb
             FROM (VALUES ('00000000-0000-0000-0000-000000000001', date '2026-01-10', 1, 2, 1, 0, '{}'),
                          ('00000000-0000-0000-0000-000000000002', '2026-01-10', 2, 2, 4, 0,
                           '{"INR": {"matched": "400.00", "amount": "1.25", "status": "2"}, "USD": {"matched": "7"}}'),
                          ('00000000-0000-0000-0000-000000000003', '2026-01-12', 1, 0, 1, 1, '{}'))
               AS runs (id, day, version, read, matched, pending, amounts)"#,
        json!(Parameters::default())
    )
    .execute(&system.pool)
    .await
    .expect("the database accepts them");
}

async fn export_reconciliation(web: &Web, query: &str) -> Response {
    web.download(VIEWER, &format!("{RECONCILIATION}?{query}"), &[]).await
}

/// The complete file of an export of discrepancies.
async fn reconciliation_file(web: &Web, query: &str) -> Vec<u8> {
    let response = export_reconciliation(web, query).await;
    assert_eq!(response.status(), 200, "{query}");
    response.bytes().await.expect("a complete file").to_vec()
}

/// The body of an error response.
async fn problem(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a complete response")).expect("JSON")
}

async fn sum_of_differences(system: &TestSystem) -> Decimal {
    let sum = sqlx::query_scalar!(r#"SELECT sum(amount_diff) AS "sum!" FROM discrepancies"#);
    sum.fetch_one(&system.pool).await.expect("the database responds")
}

fn reconciliation_export(format: Format) -> (ReconciliationExport, FileOptions) {
    let (filter, requested_at) = (DiscrepancyFilter::default(), SystemClock.now());
    let source = ReconciliationExport { filter, zone: Tz::UTC, requested_at, pii_access: PiiAccess::Masked };
    (source, FileOptions { format, columns: vec![], zone: Tz::UTC, excel: false })
}

fn viewer() -> ExportRequester {
    let principal = Principal { name: "vera".to_owned(), role: Role::Viewer, ..Principal::anyone() };
    ExportRequester::of_request(AuditContext::new(principal, "exportReconciliation"))
}
