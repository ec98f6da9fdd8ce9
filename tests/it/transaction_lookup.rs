//! The lookup of many pasted ids: in their order, by each kind of id, in any case, by its index, and as a file.

use psp_dashboard::db::transactions::lookup::list_by_ids;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Executor, Row};

use crate::harness::TIMEOUT;
use crate::harness::exports::{EXPORTS, wait_for_export};
use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::keys::create_key;
use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web};

const PATH: &str = "/api/v1/transactions/lookup";

/// A pay-in that both sources know, a second one whose reference differs only in case, and one of another project.
const PAYMENTS: &str = "
    INSERT INTO transactions (id, source, kind, source_id, content_hash, reference_id, client_operation_id, order_id, project, amount,
                              currency, status, utr, user_email, created_at, ingested_at, raw_data)
    VALUES ('0198f2a7-c11b-7b3a-9d42-5f6a1c2b3d01', 'vima', 'payin', '48151623', '\\x00', '019bc256159f72f3b2c27506937517be',
            'AGQAMEBYUPHQ4', NULL, 'acme', 10, 'INR', 'success', NULL, 'a@example.com', '2026-01-15T10:00:00Z', now(), '{}'),
           ('0198f2a7-c11b-7b3a-9d42-5f6a1c2b3d02', 'payshack', 'payin', 'Y7KY0V202611591646', '\\x00', '1003kqTJw7786', NULL,
            'AGQAMEBYUPHQ4', 'acme', 10, 'INR', 'success', '983991008838', NULL, '2026-01-15T10:00:01Z', now(), '{}'),
           ('0198f2a7-c11b-7b3a-9d42-5f6a1c2b3d03', 'payshack', 'payout', '15910368', '\\x00', '1003KQTJW7786', NULL,
            'ORDER-3', 'acme', 10, 'INR', 'failed', 'hdfc00077', NULL, '2026-01-15T10:00:02Z', now(), '{}'),
           ('0198f2a7-c11b-7b3a-9d42-5f6a1c2b3d04', 'vima', 'payin', '48151624', '\\x00', NULL, '1768491979464', NULL, 'zenith', 10,
            'INR', 'success', NULL, NULL, '2026-01-15T10:00:03Z', now(), '{}')";

async fn look_up(web: &Web, key: &str, ids: Value) -> Value {
    let body = json!({ "ids": ids }).to_string();
    let response = web.request(Method::POST, PATH, Some(key), Some(&body)).await.expect("the web process responds");
    assert_eq!(response.status, 200, "{body}: {response:?}");
    response.json()
}

/// The last digits of the ids of the transactions of each item.
fn matches(lookup: &Value) -> Vec<Vec<String>> {
    let ids = |item: &Value| -> Vec<String> {
        let matches = item["matches"].as_array().expect("a list");
        matches.iter().map(|found| found["id"].as_str().expect("an id")[34..].to_owned()).collect()
    };
    lookup["items"].as_array().expect("a list").iter().map(ids).collect()
}

#[tokio::test]
async fn each_kind_of_id_is_found_exactly_or_in_another_case() {
    let system = TestSystem::start(&[]).await;
    system.pool.execute(PAYMENTS).await.expect("the payments are new");
    let web = system.start_web().await;
    for (id, found) in [
        ("0198f2a7-c11b-7b3a-9d42-5f6a1c2b3d01", vec!["01"]),
        ("0198F2A7-C11B-7B3A-9D42-5F6A1C2B3D01", vec!["01"]),
        ("48151623", vec!["01"]),
        ("Y7KY0V202611591646", vec!["02"]),
        ("y7ky0v202611591646", vec!["02"]),
        ("019BC256159F72F3B2C27506937517BE", vec!["01"]),
        ("AGQAMEBYUPHQ4", vec!["02", "01"]),
        ("agqamebyuphq4", vec!["02", "01"]),
        ("order-3", vec!["03"]),
        ("983991008838", vec!["02"]),
        ("HDFC00077", vec!["03"]),
        ("1768491979464", vec!["04"]),
        // Exactly, although another one differs only in case; without an exact one, both.
        ("1003kqTJw7786", vec!["02"]),
        ("1003KQTJW7786", vec!["03"]),
        ("1003kqtjw7786", vec!["03", "02"]),
        ("a@example.com", vec![]),
        ("4815162", vec![]),
        ("'; DROP TABLE transactions; --", vec![]),
    ] {
        let lookup = look_up(&web, OPERATOR, json!([id])).await;
        assert_eq!(matches(&lookup), [found], "{id}: {lookup}");
    }
}

#[tokio::test]
async fn pasted_ids_are_answered_in_their_order() {
    let system = TestSystem::start(&[]).await;
    system.pool.execute(PAYMENTS).await.expect("the payments are new");
    let web = system.start_web().await;
    let pasted = "\u{feff}'983991008838\r\n\"48151623\"\tnowhere; 983991008838\u{a0}nowhere,\u{200b}AGQAMEBYUPHQ4\n";
    let lookup = look_up(&web, VIEWER, json!(pasted)).await;
    let items = lookup["items"].as_array().expect("a list");
    let inputs: Vec<&str> = items.iter().filter_map(|item| item["input"].as_str()).collect();
    assert_eq!(inputs, ["983991008838", "48151623", "nowhere", "983991008838", "nowhere", "AGQAMEBYUPHQ4"]);
    let repeated: Vec<bool> = items.iter().filter_map(|item| item["repeated"].as_bool()).collect();
    assert_eq!(repeated, [false, false, false, true, true, false]);
    let found = matches(&lookup);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0, 1, 0, 2], "{lookup}");
    assert_eq!(lookup["not_found"], json!(["nowhere"]));
    assert_eq!(lookup["counts"], json!({"ids": 6, "repeated": 2, "found": 3, "not_found": 1, "transactions": 4}));
    assert_eq!(items[1]["matches"][0]["user_email"], "a***@example.com", "masked for a viewer");
    let operators = look_up(&web, OPERATOR, json!("48151623")).await;
    assert_eq!(operators["items"][0]["matches"][0]["user_email"], "a@example.com");
}

#[tokio::test]
async fn lookup_is_limited_in_ids_and_in_matches() {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=600).await;
    system
        .pool
        .execute("UPDATE transactions SET utr = 'same' WHERE utr IS NOT NULL OR source = 'vima'")
        .await
        .expect("rows");
    let web = system.start_web().await;
    let lookup = look_up(&web, OPERATOR, json!("same")).await;
    assert_eq!((matches(&lookup)[0].len(), &lookup["items"][0]["has_more"]), (20, &json!(true)), "{lookup}");
    let ids = |count: usize| (0..count).map(|number| format!("x{number}")).collect::<Vec<_>>();
    assert_eq!(look_up(&web, VIEWER, json!(ids(500).join("\n"))).await["counts"]["not_found"], 500);
    for (body, message) in [
        (json!({"ids": ids(501).join("\n")}), "has 501 ids, and at most 500 are looked up at once: split the list"),
        (json!({"ids": ids(501)}), "must be a list of 1 to 500 values, and has 501"),
        (json!({"ids": " ,\u{200b}"}), "has no id"),
        (json!({}), "is required: 1 to 500 ids, as a text or as a list"),
        (json!({"ids": {"a": "b"}}), "must be a single value"),
        (json!({"ids": "a", "limit": 3}), "is not known here; known are ids"),
    ] {
        let response =
            web.request(Method::POST, PATH, Some(VIEWER), Some(&body.to_string())).await.expect("a response");
        assert_eq!(response.status, 422, "{response:?}");
        assert_eq!(response.json()["errors"][0]["message"], message, "{response:?}");
    }
    let entries = web.get("/api/v1/audit?operation=lookUpTransactions").await;
    assert_eq!(entries["items"], json!([]), "it only reads");
}

#[tokio::test]
async fn limited_key_finds_only_its_projects() {
    let system = TestSystem::start(&[]).await;
    system.pool.execute(PAYMENTS).await.expect("the payments are new");
    let key = create_key(&system, "operator", &["acme"]);
    let web = system.start_web().await;
    let hidden = ["48151624", "1768491979464", "0198f2a7-c11b-7b3a-9d42-5f6a1c2b3d04"];
    let scoped = look_up(&web, &key, json!([hidden[0], hidden[1], hidden[2], "48151623"])).await;
    assert_eq!(
        (matches(&scoped), &scoped["not_found"]),
        (vec![vec![], vec![], vec![], vec!["01".to_owned()]], &json!(hidden))
    );
    assert_eq!(look_up(&web, OPERATOR, json!(hidden)).await["not_found"], json!([]));
}

#[tokio::test]
async fn file_has_a_row_for_each_transaction_and_each_missing_id() {
    let system = TestSystem::start(&[]).await;
    system.pool.execute(PAYMENTS).await.expect("the payments are new");
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let order = async |body: &Value| {
        web.request(Method::POST, EXPORTS, Some(VIEWER), Some(&body.to_string())).await.expect("a response")
    };
    let columns = ["input", "found", "source_id", "user_email"];
    let body = json!({"export": "transactions", "ids": "agqamebyuphq4\n'nowhere\n=cmd", "columns": columns});
    let ordered = order(&body).await;
    assert_eq!(ordered.status, 202, "{ordered:?}");
    let export = wait_for_export(&web, &ordered.json(), TIMEOUT).await;
    assert_eq!((&export["file_name"], &export["rows"]), (&json!("transactions_by_3_ids.csv"), &json!(4)), "{export}");
    let file = web.request(Method::GET, export["download"].as_str().expect("a path"), Some(VIEWER), None).await;
    let lines: Vec<String> = file.expect("a file").text.lines().map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "input,found,source_id,user_email",
            "agqamebyuphq4,true,Y7KY0V202611591646,",
            "agqamebyuphq4,true,48151623,a***@example.com",
            "nowhere,false,,",
            "'=cmd,false,,",
        ]
    );
    let entries = web.get("/api/v1/audit?operation=orderExport").await;
    assert!(!entries.to_string().contains("nowhere"), "what someone pasted is not in the audit log: {entries}");
    for (body, field) in [
        (json!({"export": "transactions", "ids": "a", "filters": {"status": "failed"}}), "ids"),
        (json!({"export": "transactions", "ids": "a", "query": "format=csv"}), "query"),
        (json!({"export": "reconciliation", "ids": "a"}), "ids"),
        (json!({"export": "transactions", "filters": {}, "columns": ["found"]}), "columns"),
    ] {
        let refused = order(&body).await;
        assert_eq!(
            (refused.status, &refused.json()["errors"][0]["field"]),
            (422, &json!(field)),
            "{body}: {refused:?}"
        );
    }
}

/// 500 ids must not become 500 scans of the table.
#[tokio::test]
async fn every_kind_of_id_is_found_by_an_index() {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=5_000).await;
    system.pool.execute("ANALYZE transactions").await.expect("statistics");
    let rows = system.pool.fetch_all(
        "SELECT unnest(ARRAY[id::text, source_id, reference_id, client_operation_id, order_id, utr]) AS id
           FROM (SELECT * FROM transactions LIMIT 200) AS few",
    );
    let ids: Vec<String> =
        rows.await.expect("rows").iter().filter_map(|row| row.get::<Option<String>, _>("id")).take(400).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut session = system.pool.begin().await.expect("the database responds");
    // So that a table this small is scanned only if there is no index to use.
    session.execute("SET LOCAL enable_seqscan = off").await.expect("a setting");
    let before = scans(&mut session).await;
    let found = list_by_ids(&mut session, &ids, &[], 21).await.expect("the database responds");
    assert!(found.len() >= ids.len() && ids.len() > 200, "{} of {}", found.len(), ids.len());
    assert_eq!(scans(&mut session).await, before, "the table was scanned");
}

/// How often this database transaction has read the table from end to end.
async fn scans(session: &mut sqlx::PgConnection) -> i64 {
    let row = session.fetch_one("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'transactions'").await;
    row.expect("the table exists").get("seq_scan")
}
