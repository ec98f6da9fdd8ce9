//! Asserts that the database holds what the sandbox holds, and that its metrics and histories match its payments.

use std::collections::BTreeMap;

use psp_dashboard::domain::money::parse_decimal;
use rust_decimal::Decimal;
use serde_json::Value;

use super::test_system::TestSystem;

/// The fields of a payment that are compared.
#[derive(Debug, Clone, PartialEq)]
struct Payment {
    key: Option<String>,
    project: Option<String>,
    amount: Decimal,
    currency: String,
    status: String,
    original_status: Option<String>,
}

async fn stored_payments(system: &TestSystem, source: &str, kind: &str) -> BTreeMap<String, Payment> {
    let rows = sqlx::query!(
        r#"SELECT source_id, COALESCE(client_operation_id, order_id) AS key, project, amount, currency, status,
                  original_status
             FROM transactions WHERE source = $1 AND kind = $2"#,
        source,
        kind
    );
    let rows = rows.fetch_all(&system.pool).await.expect("the database responds");
    rows.into_iter()
        .map(|row| {
            let payment = Payment {
                key: row.key,
                project: row.project,
                amount: row.amount.normalize(),
                currency: row.currency,
                status: row.status,
                original_status: row.original_status,
            };
            (row.source_id, payment)
        })
        .collect()
}

async fn sandbox_payments(system: &TestSystem, source: &str, kind: &str) -> BTreeMap<String, Payment> {
    let records = system.sandbox.get(&format!("truth/records?source={source}&kind={kind}")).await;
    let text = |record: &Value, field: &str| record[field].as_str().map(str::to_owned);
    let records = records.as_array().expect("a list").iter();
    records
        .map(|record| {
            let amount = parse_decimal(record["amount"].as_str().expect("an amount")).expect("a decimal");
            let payment = Payment {
                key: text(record, "key"),
                project: text(record, "project"),
                amount: amount.normalize(),
                currency: text(record, "currency").expect("a currency"),
                status: text(record, "status").expect("a status"),
                original_status: text(record, "original_status"),
            };
            (text(record, "source_id").expect("an id"), payment)
        })
        .collect()
}

/// Asserts that every record of the sandbox is stored once with the same content, and that metrics and histories match.
pub(crate) async fn assert_matches_sandbox(system: &TestSystem) {
    for (source, kind) in [("vima", "payin"), ("payshack", "payin"), ("payshack", "payout")] {
        let stored = stored_payments(system, source, kind).await;
        let expected = sandbox_payments(system, source, kind).await;
        let differs = |(id, payment): &(&String, &Payment)| stored.get(*id) != Some(*payment);
        let different: Vec<_> = expected.iter().filter(differs).collect();
        let first: Vec<_> = different.iter().take(3).map(|(id, payment)| (id, payment, stored.get(*id))).collect();
        let (count, total) = (different.len(), expected.len());
        assert!(different.is_empty(), "{count} of {total} {source} {kind}s differ (expected, stored): {first:#?}");
        assert_eq!(stored.len(), expected.len(), "{source} {kind}: more payments are stored than the sandbox has");
    }
    assert_rollups_match_transactions(system).await;
    assert_histories_lead_to_current_values(system).await;
}

/// Asserts that each change starts with the values at which the previous one ended, and the last ends with the current
/// values.
async fn assert_histories_lead_to_current_values(system: &TestSystem) {
    let gaps = system
        .number(
            "SELECT count(*) FROM (
                 SELECT new_status, new_amount, status, amount,
                        lead(old_status) OVER by_payment AS next_status, lead(old_amount) OVER by_payment AS next_amount
                   FROM transaction_changes JOIN transactions ON transactions.id = transaction_id
                 WINDOW by_payment AS (PARTITION BY transaction_id ORDER BY transaction_changes.id)) AS step
              WHERE new_status <> COALESCE(next_status, status) OR new_amount <> COALESCE(next_amount, amount)",
        )
        .await;
    assert_eq!(gaps, 0, "changes whose new values are not the old values of the next change");
}

/// Asserts that the metric cells equal those counted from the payments.
pub(crate) async fn assert_rollups_match_transactions(system: &TestSystem) {
    let mismatches = system
        .number(
            "WITH days AS (
                 SELECT source, date_bin('1 day', created_at, 'epoch') AS day FROM transactions
                  UNION SELECT source, bucket FROM metric_cells WHERE width = 'day')
             SELECT count(*) FROM days CROSS JOIN LATERAL odd_metric_cells(source, day, day + interval '1 day') AS cells",
        )
        .await;
    assert_eq!(mismatches, 0, "metric cells that do not match the payments");
}
