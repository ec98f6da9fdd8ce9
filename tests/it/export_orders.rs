//! Files that a job makes: they are there when it is done, whatever dies on the way, and for whoever may see them.

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::programs::{Program, run};
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};
use crate::harness::{eventually, http_client};

const EXPORTS: &str = "/api/v1/exports";

async fn order(web: &Web, key: &str, query: &str) -> Value {
    let body = json!({"export": "transactions", "query": query}).to_string();
    let response = web.request(Method::POST, EXPORTS, Some(key), Some(&body)).await.expect("a response");
    assert_eq!(response.status, 202, "{}", response.text);
    let order = response.json();
    let location = response.headers["location"].to_str().expect("text").to_owned();
    assert_eq!(location, format!("{EXPORTS}/{}", id_of(&order)));
    order
}

fn id_of(order: &Value) -> String {
    order["id"].as_str().expect("an id").to_owned()
}

async fn shown(web: &Web, order: &Value) -> Value {
    web.get(&format!("{EXPORTS}/{}", id_of(order))).await
}

async fn until_made(web: &Web, order: &Value) -> Value {
    eventually("the file to be made", || async {
        let order = shown(web, order).await;
        assert_ne!(order["state"], "failed", "{order}");
        // The file is there a moment before its job is done.
        (!order["download"].is_null() && order["state"] == "succeeded").then_some(order)
    })
    .await
}

async fn download(web: &Web, key: &str, order: &Value, headers: &[(&str, &str)]) -> Response {
    let address = format!("http://127.0.0.1:{}{EXPORTS}/{}/download", web.port, id_of(order));
    let request = http_client().get(address).header("x-api-key", key);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("a response")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

async fn code(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let problem: Value = serde_json::from_slice(&response.bytes().await.expect("a response")).expect("JSON");
    (status, problem["code"].clone())
}

async fn the_same_file_comes_from(settings: &[(&'static str, &str)]) {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=3_000).await;
    let (web, _worker) = (system.start_web_with(settings).await, system.start_jobs_with(&["worker"], settings));
    let mut socket = Socket::connect_with_key(&web.socket(), ADMIN).await;
    // More than a piece of the database, so that ranges go over its edges.
    let query = "format=ndjson&sort_by=amount&order=asc";
    let made = until_made(&web, &order(&web, OPERATOR, query).await).await;
    assert_eq!(socket.receive("export_ready").await["id"], made["id"]);
    let path = format!("/api/v1/export/transactions?{query}");
    let direct = web.request(Method::GET, &path, Some(OPERATOR), None).await.expect("a file").text.into_bytes();
    assert!(direct.len() > 1_500_000, "{}", direct.len());

    let whole = download(&web, OPERATOR, &made, &[]).await;
    let headers = whole.headers().clone();
    assert_eq!(header(&headers, "content-disposition"), "attachment; filename=\"transactions_all.ndjson\"");
    assert_eq!((header(&headers, "x-total-count"), header(&headers, "accept-ranges")), ("3000", "bytes"));
    assert_eq!(header(&headers, "content-length"), direct.len().to_string());
    assert_eq!((&made["rows"], &made["bytes"]), (&json!(3_000), &json!(direct.len())));
    assert!(whole.bytes().await.expect("a whole file") == direct, "the file is that of the direct request");

    let middle = download(&web, OPERATOR, &made, &[("range", "bytes=1048570-1048585")]).await;
    assert_eq!(middle.status(), 206);
    assert_eq!(header(middle.headers(), "content-range"), format!("bytes 1048570-1048585/{}", direct.len()));
    assert!(middle.bytes().await.expect("a part") == direct[1_048_570..=1_048_585]);
    let etag = header(&headers, "etag");
    for (if_range, status, bytes) in [(etag, 206, &direct[7..]), ("\"another\"", 200, &direct[..])] {
        let rest = download(&web, OPERATOR, &made, &[("range", "bytes=7-"), ("if-range", if_range)]).await;
        assert_eq!(rest.status(), status);
        assert!(rest.bytes().await.expect("the rest") == bytes, "{if_range}");
    }
    let beyond = download(&web, OPERATOR, &made, &[("range", &format!("bytes={}-", direct.len()))]).await;
    assert_eq!(code(beyond).await, (416, "RANGE_NOT_SATISFIABLE".into()));

    let trail = web.get("/api/v1/audit").await;
    let noted: Vec<_> = trail["items"]
        .as_array()
        .expect("a page")
        .iter()
        .map(|entry| {
            assert_eq!((&entry["principal"], &entry["rows"]), (&json!("otto"), &json!(3_000)), "{entry}");
            (entry["action"].as_str().expect("an action"), entry["outcome"].as_str().expect("an outcome"))
        })
        .collect();
    let (exported, sent) = (("export", "complete"), ("download", "sent"));
    assert_eq!(
        noted,
        [sent, sent, exported, exported],
        "what begins anew is noted anew, and a part that goes on is not"
    );

    let path = format!("{EXPORTS}/{}", id_of(&made));
    let removed = web.request(Method::DELETE, &path, Some(OPERATOR), None).await.expect("a response");
    assert_eq!((removed.status, removed.json()["download"].clone()), (200, Value::Null));
    assert_eq!(code(download(&web, OPERATOR, &made, &[]).await).await, (409, "CONFLICT".into()));
    assert_eq!(system.number("SELECT count(*) FROM export_pieces").await, 0);
}

#[tokio::test]
async fn files_are_kept_in_the_database() {
    the_same_file_comes_from(&[]).await;
}

#[tokio::test]
async fn files_are_kept_in_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("file://{}", folder.path().display());
    the_same_file_comes_from(&[("EXPORT_STORE", &store)]).await;
    let left = || std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left(), 0, "what was removed is gone");
    let system = TestSystem::start(&[]).await;
    for (store, good, told) in [
        (store, true, "EXPORT_STORE takes a file, gives it back and deletes it"),
        ("file:///proc/nowhere".to_owned(), false, "exported files: the object store failed"),
        ("elsewhere".to_owned(), false, "must be database, file:///a/folder or s3://bucket/prefix"),
    ] {
        let settings = system.settings().into_iter().chain([("EXPORT_STORE", store)]);
        let ended = run(Program::Psp, &["check"], settings);
        assert_eq!(ended.status.success(), good, "{ended:?}");
        assert!(ended.stdout.contains(told), "{ended:?}");
    }
    assert_eq!(left(), 0);
}

#[tokio::test]
async fn a_file_is_for_whoever_may_see_as_much() {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=5).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let query = "columns=user_email";
    let of_viewer = until_made(&web, &order(&web, VIEWER, query).await).await;
    let of_operator = until_made(&web, &order(&web, OPERATOR, query).await).await;
    let text = async |key, order| download(&web, key, order, &[]).await.text().await.expect("a file");
    assert!(text(VIEWER, &of_viewer).await.contains("p***@example.com"));
    assert!(text(ADMIN, &of_operator).await.contains("payer5@example.com"));
    assert_eq!(code(download(&web, VIEWER, &of_operator, &[]).await).await, (403, "FORBIDDEN".into()));
    let path = format!("{EXPORTS}/{}", id_of(&of_operator));
    for (method, status) in [(Method::GET, 403), (Method::DELETE, 403)] {
        let refused = web.request(method, &path, Some(VIEWER), None).await.expect("a response");
        assert_eq!(refused.status, status, "{}", refused.text);
    }
    // A day later it is gone; whoever looks before anybody has cleaned up finds nothing either.
    sqlx::query!("UPDATE exports SET expires_at = now() - interval '1 second'")
        .execute(&system.pool)
        .await
        .expect("rows");
    assert_eq!(shown(&web, &of_viewer).await["download"], Value::Null);
    assert_eq!(code(download(&web, VIEWER, &of_viewer, &[]).await).await, (409, "CONFLICT".into()));
    sqlx::query!("UPDATE export_pieces SET created_at = now() - interval '28 hours'")
        .execute(&system.pool)
        .await
        .expect("rows");
    system.run_job("housekeeping", None);
    assert_eq!(system.number("SELECT count(*) FROM export_pieces").await, 0);

    for (body, field) in [
        (json!({"query": "format=csv"}), "export"),
        (json!({"export": "everything"}), "export"),
        (json!({"export": "transactions", "query": "format=pdf"}), "format"),
        (json!({"export": "transactions", "query": "columns=nothing"}), "columns"),
        (json!({"export": "reconciliation", "query": "state=lost"}), "state"),
        (json!({"export": "transactions", "format": "csv"}), "format"),
    ] {
        let refused =
            web.request(Method::POST, EXPORTS, Some(VIEWER), Some(&body.to_string())).await.expect("a response");
        assert_eq!(
            (refused.status, &refused.json()["errors"][0]["field"]),
            (422, &field.into()),
            "{body}: {}",
            refused.text
        );
    }
    let headers = [("x-api-key", VIEWER), ("content-type", "application/json"), ("idempotency-key", "once")];
    let body = json!({"export": "payshack-clients"}).to_string();
    let (first, second) =
        (web.post_with(EXPORTS, &headers, &body).await, web.post_with(EXPORTS, &headers, &body).await);
    assert_eq!(first.json()["id"], second.json()["id"]);
    let unknown = format!("{EXPORTS}/{}", uuid::Uuid::nil());
    assert_eq!(web.request(Method::GET, &unknown, Some(ADMIN), None).await.expect("a response").status, 404);
}

/// The slowest file there is, for whoever has to come in between.
async fn a_long_order(system: &TestSystem, web: &Web) -> Value {
    insert_transactions(&system.pool, 1..=60_000).await;
    let order = order(web, OPERATOR, "format=xlsx").await;
    eventually("the file to be under way", || async {
        let running = shown(web, &order).await;
        let is_under_way = running["progress"]["progress"].as_u64().is_some_and(|rows| rows > 0);
        assert_ne!(running["state"], "succeeded", "it was too quick to be interrupted");
        is_under_way.then_some(())
    })
    .await;
    order
}

#[tokio::test]
async fn a_file_is_made_though_its_worker_dies() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let mut first = system.start_jobs(&["worker"]);
    let order = a_long_order(&system, &web).await;
    first.kill();
    let _second = system.start_jobs(&["worker"]);
    let made = until_made(&web, &order).await;
    assert_eq!(made["rows"], 60_000);
    let bytes = download(&web, OPERATOR, &made, &[]).await.bytes().await.expect("a whole file").to_vec();
    let mut book = crate::harness::exported_files::open_workbook(bytes);
    assert_eq!(crate::harness::exported_files::sheet_rows(&mut book, "Transactions").len(), 60_001);
    assert!(system.number("SELECT max(epoch) FROM jobs WHERE kind = 'export'").await > 1, "another attempt made it");
}

#[tokio::test]
async fn an_order_may_be_cancelled_while_it_is_made() {
    let system = TestSystem::start(&[]).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let order = a_long_order(&system, &web).await;
    let path = format!("{EXPORTS}/{}", id_of(&order));
    let cancelled = web.request(Method::DELETE, &path, Some(OPERATOR), None).await.expect("a response");
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    eventually("the job to stop", || async { (shown(&web, &order).await["state"] == "cancelled").then_some(()) }).await;
    let reading = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                      AND state = 'active' AND query LIKE 'SELECT id, source, kind%'";
    eventually("its statement to end", || async { (system.number(reading).await == 0).then_some(()) }).await;
    assert_eq!(shown(&web, &order).await["download"], Value::Null);
    assert_eq!(code(download(&web, OPERATOR, &order, &[]).await).await, (409, "CONFLICT".into()));
}
