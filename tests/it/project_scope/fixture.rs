//! Payments, discrepancies and results of two projects. Everything of the hidden one has its name in it.

use reqwest::Method;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, Row};
use uuid::Uuid;

use crate::harness::keys::create_key;
use crate::harness::test_system::{ADMIN, ApiResponse, TestSystem, Web};

/// The project of the key.
pub(super) const OWN: &str = "acme";
pub(super) const HIDDEN: &str = "zenith";

pub(super) struct TwoProjects {
    pub(super) system: TestSystem,
    pub(super) web: Web,
    /// An operator's key for [`OWN`].
    pub(super) key: String,
    /// The run whose results are stored.
    pub(super) run_id: Uuid,
}

impl TwoProjects {
    pub(super) async fn start() -> Self {
        let system = TestSystem::start(&[]).await;
        system.pool.execute(PAYMENTS).await.expect("the payments are new");
        let run_id = Uuid::now_v7();
        for project in [OWN, HIDDEN] {
            let findings = FINDINGS.replace("{run}", &run_id.to_string()).replace("{project}", project);
            system.pool.execute(AssertSqlSafe(findings)).await.expect("the findings are new");
        }
        let key = create_key(&system, "operator", &[OWN]);
        Self { web: system.start_web().await, system, key, run_id }
    }

    pub(super) async fn send(&self, key: &str, method: Method, path: &str, body: Option<&str>) -> ApiResponse {
        self.web.request(method, path, Some(key), body).await.expect("the web process responds")
    }

    /// A GET with the scoped key.
    pub(super) async fn scoped(&self, path: &str) -> ApiResponse {
        self.send(&self.key, Method::GET, path, None).await
    }

    pub(super) async fn unscoped(&self, path: &str) -> ApiResponse {
        self.send(ADMIN, Method::GET, path, None).await
    }

    /// The id of a payment or a discrepancy.
    pub(super) async fn id(&self, table: &str, condition: &str) -> Uuid {
        let statement = format!("SELECT id FROM {table} WHERE {condition} ORDER BY id LIMIT 1");
        self.system.pool.fetch_one(AssertSqlSafe(statement)).await.expect("there is one").get(0)
    }

    /// Every id of the hidden project.
    pub(super) async fn hidden_ids(&self) -> Vec<Uuid> {
        let ids = "SELECT id FROM transactions WHERE project = 'zenith' UNION SELECT id FROM discrepancies WHERE project = 'zenith'";
        let rows = self.system.pool.fetch_all(ids).await.expect("the database responds");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// # Panics
/// If the text has anything of the hidden project.
pub(super) fn assert_nothing_hidden(text: &str, hidden_ids: &[Uuid], path: &str) {
    assert!(!text.to_lowercase().contains(HIDDEN), "{path}: {text}");
    assert!(!text.contains("\"ZN\""), "{path}: a country of the hidden project: {text}");
    let leaked = hidden_ids.iter().find(|id| text.contains(&id.to_string()));
    assert_eq!(leaked, None, "{path}: {text}");
}

/// The number of items of a list.
pub(super) fn item_count(page: &Value) -> usize {
    page["items"].as_array().map_or(0, Vec::len)
}

/// Forty payments of each source and project, from the last minutes to the day before yesterday.
const PAYMENTS: &str = "
    INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, order_id, project, merchant_id,
                              amount, currency, status, country, payment_method, user_email, created_at, ingested_at, raw_data)
    SELECT gen_random_uuid(), source, 'payin', project || '-' || n, '\\x00', CASE source WHEN 'vima' THEN project || '-op-' || n END,
           CASE source WHEN 'payshack' THEN project || '-op-' || n END, project, project || '-merchant-' || n % 3, 100 + 137 * n,
           'INR', (ARRAY['success', 'failed', 'pending'])[1 + n % 3], CASE project WHEN 'acme' THEN 'IN' ELSE 'ZN' END,
           project || '-pay', 'payer' || n || '@' || project || '.example', now() - n * n * interval '1 minute', now(), '{}'
      FROM generate_series(1, 40) AS n, UNNEST(ARRAY['acme', 'zenith']) AS project, UNNEST(ARRAY['vima', 'payshack']) AS source;
    INSERT INTO metric_cells
        SELECT cells.* FROM UNNEST(ARRAY['vima', 'payshack']) AS source
               CROSS JOIN LATERAL odd_metric_cells(source, date_trunc('day', now()) - interval '5 days',
                                                   date_trunc('day', now()) + interval '2 days') AS cells
        ON CONFLICT (facet, width, project, member, bucket, source, kind, currency, status)
        DO UPDATE SET count = excluded.count, amount = excluded.amount;
    UPDATE payment_versions SET version = version + 1";

/// A run, and for each of ten payments a result and a discrepancy.
const FINDINGS: &str = "
    INSERT INTO reconciliation_runs
        (id, recon_date, version, status, trigger, started_at, finished_at, parameters, day_from, day_until, as_of)
    SELECT '{run}', current_date - 1, 1, 'completed', 'schedule', now(), now(),
           '{\"timezone\": \"UTC\", \"projects\": [], \"window_hours\": 24, \"amount_tolerance\": \"0\",
             \"amount_tolerance_percent\": \"0\", \"pending_grace_minutes\": 60, \"settle_minutes\": 60}',
           now() - interval '1 day', now(), now()
        ON CONFLICT DO NOTHING;
    INSERT INTO discrepancies
        (id, recon_date, key, occurrence, match_status, types, project, vima_txn_id, payshack_txn_id, vima_amount, payshack_amount,
         amount_diff, vima_currency, payshack_currency, vima_status, payshack_status, details, state, note, first_seen_at,
         first_run_id, created_at)
    SELECT gen_random_uuid(), current_date - 1, vima.client_operation_id, 1, 'discrepancy', '{amount}', vima.project, vima.id,
           payshack.id, vima.amount, payshack.amount - 1, 1, 'INR', 'INR', vima.status, payshack.status,
           jsonb_build_object('of', vima.project), 'open', vima.project || ' was called', now(), '{run}', now()
      FROM transactions AS vima JOIN transactions AS payshack ON payshack.order_id = vima.client_operation_id
     WHERE vima.project = '{project}' ORDER BY vima.created_at DESC LIMIT 10;
    INSERT INTO reconciliation_results
        (run_id, recon_date, key, match_status, types, project, vima_txn_id, payshack_txn_id, details)
    SELECT '{run}', recon_date, key, match_status, types, project, vima_txn_id, payshack_txn_id, details
      FROM discrepancies WHERE project = '{project}'";
