//! The truth: what the providers have, beside what is stored.

use std::collections::BTreeMap;

use psp_dashboard::domain::money::parse_decimal;
use rust_decimal::Decimal;
use serde_json::Value;

use super::test_system::TestSystem;

/// What a payment is, on either side of the comparison.
#[derive(Debug, Clone, PartialEq)]
struct Payment {
    key: Option<String>,
    project: Option<String>,
    amount: Decimal,
    currency: String,
    status: String,
    original_status: Option<String>,
}

async fn stored(system: &TestSystem, source: &str, kind: &str) -> BTreeMap<String, Payment> {
    let rows = sqlx::query!(
        r#"SELECT source_id, COALESCE(client_operation_id, order_id) AS key, project, amount, currency, status,
                  original_status
             FROM transactions WHERE source = $1 AND kind = $2"#,
        source,
        kind
    );
    let rows = rows.fetch_all(&system.pool).await.expect("the database answers");
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

async fn truth(system: &TestSystem, source: &str, kind: &str) -> BTreeMap<String, Payment> {
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

/// Every record of the providers is here once, as it is there, and the books of every run add up.
pub(crate) async fn assert_equal(system: &TestSystem) {
    for (source, kind) in [("vima", "payin"), ("payshack", "payin"), ("payshack", "payout")] {
        let (stored, truth) = (stored(system, source, kind).await, truth(system, source, kind).await);
        for (id, payment) in &truth {
            assert_eq!(stored.get(id), Some(payment), "{source} {kind} {id}");
        }
        assert_eq!(stored.len(), truth.len(), "{source} {kind}: there are more here than there");
    }
    assert_rollups_equal_rows(system).await;
    assert_history_leads_to_rows(system).await;
}

/// Each change begins where the one before ended, and the last ends where the payment stands.
async fn assert_history_leads_to_rows(system: &TestSystem) {
    let torn = system
        .number(
            "SELECT count(*) FROM (
                 SELECT new_status, new_amount, status, amount,
                        lead(old_status) OVER by_payment AS next_status, lead(old_amount) OVER by_payment AS next_amount
                   FROM transaction_changes JOIN transactions ON transactions.id = transaction_id
                 WINDOW by_payment AS (PARTITION BY transaction_id ORDER BY transaction_changes.id)) AS step
              WHERE new_status <> COALESCE(next_status, status) OR new_amount <> COALESCE(next_amount, amount)",
        )
        .await;
    assert_eq!(torn, 0, "changes that lead to nothing");
}

/// The cells of the metrics equal a count over the rows.
pub(crate) async fn assert_rollups_equal_rows(system: &TestSystem) {
    let difference = system
        .number(
            "WITH days AS (
                 SELECT source, date_bin('1 day', created_at, 'epoch') AS day FROM transactions
                  UNION SELECT source, bucket FROM metric_cells WHERE width = 'day')
             SELECT count(*) FROM days CROSS JOIN LATERAL odd_metric_cells(source, day, day + interval '1 day') AS odd",
        )
        .await;
    assert_eq!(difference, 0, "cells that differ from their rows");
}
