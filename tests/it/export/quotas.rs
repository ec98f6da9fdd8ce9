//! How many exports may be ordered, how many rows a key may export, and that cancelled exports leave nothing behind.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::Executor;

use super::{RECONCILIATION, insert_discrepancies};
use crate::harness::eventually;
use crate::harness::exports::{EXPORTS, create_export, export_path};
use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, VIEWER, Web};

async fn order(web: &Web, key: &str) -> ApiResponse {
    let body = json!({"export": "transactions", "query": "format=csv"}).to_string();
    web.request(Method::POST, EXPORTS, Some(key), Some(&body)).await.expect("the web process responds")
}

#[tokio::test]
async fn ordered_exports_are_limited_per_key_and_in_total() {
    let system = TestSystem::start(&[]).await;
    // Without a worker, they wait.
    let settings = [("EXPORTS_PER_KEY", "2"), ("EXPORTS_TOTAL", "3")];
    let (first, second) = tokio::join!(system.start_web_with(&settings), system.start_web_with(&settings));
    let orders = (0..8).map(|number| order(if number % 2 == 0 { &first } else { &second }, OPERATOR));
    let orders = join_all(orders).await;
    let accepted: Vec<&ApiResponse> = orders.iter().filter(|response| response.status == 202).collect();
    assert_eq!(accepted.len(), 2, "orders that arrive at the same time do not share a place: {orders:?}");
    let refused = orders.iter().find(|response| response.status != 202).expect("a refusal");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "60"), "{refused:?}");
    assert!(refused.text.contains("2 exports of this key"), "{refused:?}");

    assert_eq!(order(&first, VIEWER).await.status, 202, "another key");
    let refused = order(&first, ADMIN).await;
    assert!(refused.status == 429 && refused.text.contains("3 exports are waiting"), "{refused:?}");

    let path = export_path(&accepted[0].json());
    let removed = first.request(Method::DELETE, &path, Some(OPERATOR), None).await.expect("a response");
    assert_eq!(removed.status, 200, "{removed:?}");
    assert_eq!(order(&second, OPERATOR).await.status, 202, "there is a place again");

    let limited = system.start_web_with(&[("EXPORT_BYTES_PER_KEY", "1000"), ("EXPORT_BYTES_TOTAL", "2000")]).await;
    let store = "UPDATE exports SET finished_at = now(), expires_at = now() + interval '1 day', rows = 1, bytes = 1000,
                        stored_as = id::text WHERE requested_by = 'otto'";
    system.pool.execute(store).await.expect("the exports exist");
    let refused = order(&limited, OPERATOR).await;
    assert!(refused.status == 429 && refused.text.contains("the files of this key have"), "{refused:?}");
    let refused = order(&limited, VIEWER).await;
    assert!(refused.status == 429 && refused.text.contains("the stored files have"), "{refused:?}");
}

#[tokio::test]
async fn rows_of_a_key_and_day_are_counted() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 200).await;
    let web = system.start_web_with(&[("EXPORT_ROWS_ALERT", "150"), ("EXPORT_ROWS_LIMIT", "200")]).await;
    let export = async |key| web.request(Method::GET, RECONCILIATION, Some(key), None).await.expect("a response");
    assert_eq!(export(VIEWER).await.status, 200);
    // The count follows the end of the file, and a new day may have begun.
    let refused = eventually("the limit to be reached", || async {
        let response = export(VIEWER).await;
        (response.status == 429).then_some(response)
    })
    .await;
    assert!(refused.text.contains("rows today") && refused.text.contains("RATE_LIMITED"), "{refused:?}");
    assert_eq!(export(OPERATOR).await.status, 200, "another key");
    let output = web.program.output();
    assert!(output.contains("key vera has exported") && output.contains("rows today"), "{output}");
    assert!(system.number("SELECT min(rows) FROM exported_rows").await >= 200);
}

#[tokio::test]
async fn cancelled_export_leaves_no_pieces() {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=60_000).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let export = create_export(&web, OPERATOR, "format=ndjson").await;
    let pieces = "SELECT count(*) FROM export_pieces";
    eventually("the first piece", || async { (system.number(pieces).await > 0).then_some(()) }).await;
    let cancelled = web.request(Method::DELETE, &export_path(&export), Some(OPERATOR), None).await.expect("a response");
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    eventually("the pieces to be deleted", || async { (system.number(pieces).await == 0).then_some(()) }).await;
}
