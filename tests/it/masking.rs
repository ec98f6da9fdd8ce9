//! No response to a viewer has personal data, wherever it is stored.
//!
//! The access policy lists the operations: whatever a viewer may read is read here, also what is added later.

use psp_dashboard::domain::access::Role;
use psp_dashboard::web::http::auth::policy::POLICIES;
use reqwest::Method;
use sqlx::Executor;

use crate::harness::exports::{create_export, export_path, wait_for_export};
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};
use crate::harness::{TIMEOUT, eventually};

/// The id of every object of this test.
const ID: &str = "01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e";
const PERSONAL: [&str; 4] = ["sunita.rao", "9876543341", "98765 43341", "Sunita Rao"];

/// A text with personal data in each field that people, providers or errors fill.
const SEED: &str = "
    INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, project, merchant_id, amount, currency, status,
                              original_status, user_id, user_email, user_phone, user_name, created_at, ingested_at, raw_data)
        VALUES ('01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', 'vima', 'payin', 'op-1', '\\x00', 'op-1', 'acme', 'shop-1', 100, 'INR', 'failed',
                'refused for sunita.rao@example.com', 'sunita.rao@upi', 'sunita.rao@example.com', '9876543341', 'Sunita Rao',
                now() - interval '1 minute', now(), '{\"phone\": \"9876543341\"}');
    INSERT INTO metric_cells SELECT * FROM odd_metric_cells('vima', date_trunc('day', now()) - interval '1 day', now() + interval '2 days')
        ON CONFLICT (facet, width, project, member, bucket, source, kind, currency, status)
        DO UPDATE SET count = excluded.count, amount = excluded.amount;
    UPDATE payment_versions SET version = version + 1;
    INSERT INTO reconciliation_runs (id, recon_date, status, trigger, started_at, finished_at, parameters, day_from, day_until, error)
        VALUES ('01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', current_date, 'failed', 'schedule', now(), now(),
                '{\"timezone\": \"UTC\", \"projects\": [], \"window_hours\": 24, \"amount_tolerance\": \"0\",
                  \"amount_tolerance_percent\": \"0\", \"pending_grace_minutes\": 60, \"settle_minutes\": 60}',
                now() - interval '1 day', now(), 'failed at sunita.rao@example.com');
    INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, project, vima_txn_id, details, state, note,
                               first_seen_at, first_run_id, created_at)
        VALUES ('01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', current_date, 'op-1', 1, 'missing_payshack', '{missing}', 'acme',
                '01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', '{}', 'open', 'called +91 98765 43341', now(),
                '01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', now());
    INSERT INTO discrepancy_changes (discrepancy_id, changed_at, changed_by, to_state, note)
        VALUES ('01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', now(), 'otto', 'open', 'wrote to sunita.rao@example.com');
    INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, attempt, max_attempts, error, result, created_at,
                      finished_at)
        VALUES ('01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', 'replay-quarantine', '{\"of\": \"sunita.rao@example.com\"}', 'default', 0,
                'failed', 'api', now(), 1, 1, 'no place for 9876543341', '{\"first\": [\"9876543341\"]}', now(), now());
    INSERT INTO job_attempts (job_id, epoch, attempt, worker, started_at, finished_at, outcome, error)
        VALUES ('01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', 1, 1, 'w', now(), now(), 'failed', 'no place for 9876543341');
    INSERT INTO sync_runs (id, source, mode, trigger, job_id, started_at, finished_at, status, error)
        VALUES ('01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', 'vima', 'full', 'api', '01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', now(), now(),
                'failed', 'vima answered 400: sunita.rao%40example.com');
    INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
        VALUES ('01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', 'vima', 'payin', 'amount is 9876543341', 'sunita.rao@example.com', '\\x00',
                '01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e', now(), now());
    INSERT INTO payshack_lists (list, read_at) VALUES ('clients', now()), ('resellers', now());
    INSERT INTO payshack_clients (client_id, name, email, first_seen_at, changed_at)
        VALUES ('client-7', 'Example Shop', 'sunita.rao@example.com', now(), now());
    INSERT INTO payshack_resellers (reseller_id, user_id, name, email, first_seen_at, changed_at)
        VALUES ('reseller-7', '9876543341', 'Example Agency', 'sunita.rao@example.com', now(), now())";

/// The operations whose responses to an operator have personal data of the seed.
const SHOWN_TO_OPERATORS: [&str; 20] = [
    "explainPayment",
    "exportPayshackClients",
    "exportReconciliation",
    "exportTransactions",
    "getDiscrepancy",
    "getJob",
    "getMerchant",
    "getMetricsByOriginalStatus",
    "getMetricsFailures",
    "getReconciliationRun",
    "getSyncStatus",
    "getTransaction",
    "listDiscrepancies",
    "listJobs",
    "listPayshackClients",
    "listPayshackResellers",
    "listQuarantine",
    "listReconciliationRuns",
    "listSyncRuns",
    "listTransactions",
];

fn has_personal_data(text: &str) -> bool {
    PERSONAL.iter().any(|part| text.contains(part))
}

async fn get(web: &Web, path: &str, key: &str) -> (u16, String) {
    let response = web.request(Method::GET, path, Some(key), None).await.expect("the web process responds");
    (response.status, response.text)
}

#[tokio::test]
async fn viewers_see_no_personal_data_in_any_response() {
    let system = TestSystem::start(&[]).await;
    system.pool.execute(SEED).await.expect("the database accepts it");
    let web = system.start_web().await;
    let mut shown_to_operators = vec![];
    for policy in POLICIES.iter().filter(|policy| policy.method == "GET" && policy.role == Some(Role::Viewer)) {
        let path = policy.path.replace("{id}", ID).replace("{project}/{merchant_id}", "acme/shop-1");
        let path = path.replace("{type}", "project").replace("/explain/payment", "/explain/payment?reference=op-1");
        let (status, text) = get(&web, &path, VIEWER).await;
        assert!(!has_personal_data(&text), "{path} shows personal data to a viewer: {text}");
        let (status_of_operator, text) = get(&web, &path, OPERATOR).await;
        assert_eq!(status, status_of_operator, "{path}: {text}");
        if has_personal_data(&text) {
            shown_to_operators.push(policy.operation);
        }
    }
    shown_to_operators.sort_unstable();
    assert_eq!(shown_to_operators, SHOWN_TO_OPERATORS, "the seed has personal data where responses have it");

    // A viewer cannot find a person either.
    for text in ["sunita.rao", "9876543341", "Sunita Rao"] {
        let search = format!("/api/v1/transactions?search={}", text.replace(' ', "%20"));
        for (key, total) in [(VIEWER, 0), (OPERATOR, 1)] {
            let (status, found) = get(&web, &search, key).await;
            let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
            assert_eq!((status, &found["total"]), (200, &total.into()), "{text}: {found}");
        }
    }
}

#[tokio::test]
async fn exports_that_viewers_order_are_masked() {
    let system = TestSystem::start(&[]).await;
    system.pool.execute(SEED).await.expect("the database accepts it");
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    for (key, is_masked) in [(VIEWER, true), (ADMIN, false)] {
        let export = wait_for_export(&web, &create_export(&web, key, "format=ndjson").await, TIMEOUT).await;
        let path = format!("{}/download", export_path(&export));
        let file =
            eventually("the file", || async { Some(get(&web, &path, key).await).filter(|(status, _)| *status == 200) });
        let (_, text) = file.await;
        assert_eq!(has_personal_data(&text), !is_masked, "{text}");
    }
}
