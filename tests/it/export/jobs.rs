//! Exports written by a job: stored files, range requests, permissions, expiry, cancellation and crashes.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::problem;
use crate::harness::exported_files::{open_workbook, sheet_rows};
use crate::harness::exports::{EXPORTS, create_export, export_path, wait_for_export};
use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::programs::{Program, run};
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web, header, items};
use crate::harness::{TIMEOUT, eventually};

/// The current state of an export.
async fn get_export(web: &Web, export: &Value) -> Value {
    web.get(&export_path(export)).await
}

async fn create_and_wait(web: &Web, key: &str, query: &str) -> Value {
    wait_for_export(web, &create_export(web, key, query).await, TIMEOUT).await
}

async fn download(web: &Web, key: &str, export: &Value, headers: &[(&str, &str)]) -> Response {
    web.download(key, &format!("{}/download", export_path(export)), headers).await
}

/// The status and error code of a response.
async fn status_and_code(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, problem(response).await["code"].clone())
}

/// Asserts that the file of a job equals that of the direct export, and that ranges, permissions and deletion work, with
/// these settings for the store.
async fn assert_stored_file_equals_direct_export(settings: &[(&'static str, &str)]) {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=3_000).await;
    let (web, _worker) = (system.start_web_with(settings).await, system.start_jobs_with(&["worker"], settings));
    let mut socket = Socket::connect_with_key(&web.socket(), ADMIN).await;
    // More than one piece of the database store, so that ranges cross the boundary of two pieces.
    let query = "format=ndjson&sort_by=amount&order=asc";
    let export = create_and_wait(&web, OPERATOR, query).await;
    assert_eq!(socket.receive("export_ready").await["id"], export["id"]);
    let path = format!("/api/v1/export/transactions?{query}");
    let direct = web.request(Method::GET, &path, Some(OPERATOR), None).await.expect("a file").text.into_bytes();
    assert!(direct.len() > 1_500_000, "{}", direct.len());

    let whole = download(&web, OPERATOR, &export, &[]).await;
    let headers = whole.headers().clone();
    assert_eq!(header(&headers, "content-disposition"), "attachment; filename=\"transactions_all.ndjson\"");
    assert_eq!((header(&headers, "x-total-count"), header(&headers, "accept-ranges")), ("3000", "bytes"));
    assert_eq!(header(&headers, "content-length"), direct.len().to_string());
    assert_eq!((&export["rows"], &export["bytes"]), (&json!(3_000), &json!(direct.len())));
    assert!(whole.bytes().await.expect("a complete file") == direct, "the file equals that of the direct export");

    let middle = download(&web, OPERATOR, &export, &[("range", "bytes=1048570-1048585")]).await;
    assert_eq!(middle.status(), 206);
    assert_eq!(header(middle.headers(), "content-range"), format!("bytes 1048570-1048585/{}", direct.len()));
    assert!(middle.bytes().await.expect("a part") == direct[1_048_570..=1_048_585]);
    let etag = header(&headers, "etag");
    for (if_range, status, bytes) in [(etag, 206, &direct[7..]), ("\"another\"", 200, &direct[..])] {
        let part = download(&web, OPERATOR, &export, &[("range", "bytes=7-"), ("if-range", if_range)]).await;
        assert_eq!(part.status(), status);
        assert!(part.bytes().await.expect("a part") == bytes, "{if_range}");
    }
    let beyond = download(&web, OPERATOR, &export, &[("range", &format!("bytes={}-", direct.len()))]).await;
    assert_eq!(header(beyond.headers(), "content-range"), format!("bytes */{}", direct.len()));
    assert_eq!(status_and_code(beyond).await, (416, "RANGE_NOT_SATISFIABLE".into()));

    let audit = web.get("/api/v1/audit").await;
    let entries: Vec<_> = items(&audit)
        .iter()
        .map(|entry| {
            assert_eq!((&entry["principal"], &entry["rows"]), (&json!("otto"), &json!(3_000)), "{entry}");
            (entry["operation"].as_str().expect("an operation"), entry["outcome"].as_str().expect("an outcome"))
        })
        .collect();
    assert_eq!(
        entries,
        [("downloadExport", "sent"), ("exportTransactions", "complete"), ("orderExport", "complete")],
        "one entry for all parts of a download"
    );

    let path = export_path(&export);
    let removed = web.request(Method::DELETE, &path, Some(OPERATOR), None).await.expect("a response");
    assert_eq!((removed.status, removed.json()["download"].clone()), (200, Value::Null));
    assert_eq!(status_and_code(download(&web, OPERATOR, &export, &[]).await).await, (409, "CONFLICT".into()));
    assert_eq!(system.number("SELECT count(*) FROM export_pieces").await, 0);
}

#[tokio::test]
async fn database_store_serves_the_same_file_as_the_direct_export() {
    assert_stored_file_equals_direct_export(&[]).await;
}

#[tokio::test]
async fn folder_store_serves_the_same_file_and_is_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("file://{}", folder.path().display());
    assert_stored_file_equals_direct_export(&[("EXPORT_STORE", &store)]).await;
    let left = || std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left(), 0, "the deleted file is gone");
    let system = TestSystem::start(&[]).await;
    for (store, is_valid, message) in [
        (store, true, "export store: a file was written, read and deleted in EXPORT_STORE"),
        ("file:///proc/nowhere".to_owned(), false, "export store: the object store failed"),
        ("elsewhere".to_owned(), false, "must be database, file:///a/folder or s3://bucket/prefix"),
    ] {
        let settings = system.settings().into_iter().chain([("EXPORT_STORE", store)]);
        let output = run(Program::Psp, &["check"], settings);
        assert_eq!(output.status.success(), is_valid, "{output:?}");
        assert!(output.stdout.contains(message), "{output:?}");
    }
    assert_eq!(left(), 0);
}

#[tokio::test]
async fn file_requires_the_permissions_of_its_creator_and_expires() {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=5).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let query = "columns=user_email";
    let of_viewer = create_and_wait(&web, VIEWER, query).await;
    let of_operator = create_and_wait(&web, OPERATOR, query).await;
    let text = async |key, export| download(&web, key, export, &[]).await.text().await.expect("a file");
    assert!(text(VIEWER, &of_viewer).await.contains("p***@example.com"));
    assert!(text(ADMIN, &of_operator).await.contains("payer5@example.com"));
    assert_eq!(status_and_code(download(&web, VIEWER, &of_operator, &[]).await).await, (403, "FORBIDDEN".into()));
    let path = export_path(&of_operator);
    for (method, status) in [(Method::GET, 403), (Method::DELETE, 403)] {
        let refused = web.request(method, &path, Some(VIEWER), None).await.expect("a response");
        assert_eq!(refused.status, status, "{}", refused.text);
    }
    // It expires after a day, even before housekeeping deletes it.
    sqlx::query!("UPDATE exports SET expires_at = now() - interval '1 second'")
        .execute(&system.pool)
        .await
        .expect("the database accepts it");
    assert_eq!(get_export(&web, &of_viewer).await["download"], Value::Null);
    assert_eq!(status_and_code(download(&web, VIEWER, &of_viewer, &[]).await).await, (409, "CONFLICT".into()));
    sqlx::query!("UPDATE export_pieces SET created_at = now() - interval '28 hours'")
        .execute(&system.pool)
        .await
        .expect("the database accepts it");
    system.run_job("housekeeping", None);
    assert_eq!(system.number("SELECT count(*) FROM export_pieces").await, 0);

    for (body, field) in [
        (json!({"query": "format=csv"}), "export"),
        (json!({"export": "everything"}), "export"),
        (json!({"export": "transactions", "query": "format=pdf"}), "format"),
        (json!({"export": "transactions", "query": "columns=nothing"}), "columns"),
        (json!({"export": "reconciliation", "query": "state=lost"}), "state"),
        (json!({"export": "transactions", "frmat": "csv"}), "frmat"),
        (json!({"export": "transactions", "format": "pdf"}), "format"),
        (json!({"export": "transactions", "columns": ["nothing"]}), "columns"),
        (json!({"export": "transactions", "timezone": "Nowhere"}), "timezone"),
        (json!({"export": "transactions", "filters": "status=success"}), "filters"),
        (json!({"export": "transactions", "filters": {"status": "won"}}), "filters.status"),
        (json!({"export": "transactions", "filters": {"status": ["success", "won"]}}), "filters.status[1]"),
        (json!({"export": "transactions", "filters": {"sttaus": "success"}}), "filters.sttaus"),
        (json!({"export": "transactions", "filters": {"min_amount": 5, "max_amount": 4}}), "filters.min_amount"),
        (json!({"export": "transactions", "filters": {"timezone": "UTC"}, "timezone": "UTC"}), "filters.timezone"),
        (json!({"export": "metrics-summary", "filters": {"from_date": "2020-01-01"}}), "filters.from_date"),
        (json!({"export": "transactions", "query": "kind=payin", "filters": {}}), "query"),
        (json!({"export": "transactions", "query": "kind=payin", "format": "csv"}), "query"),
        (json!({"export": "transactions", "query": "kind=payin", "columns": ["id"]}), "query"),
        (json!({"export": "transactions", "query": "kind=payin", "timezone": "UTC"}), "query"),
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

#[tokio::test]
async fn export_by_fields_equals_the_export_by_query() {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=50).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let days = json!({"from_date": "2026-01-15", "to_date": "2026-01-15"});
    for (export, query, fields) in [
        (
            "transactions",
            "format=ndjson&columns=amount,created_at&timezone=Asia/Kolkata&status=success,failed&min_amount=10.5\
             &from_date=2026-01-15&sort_by=amount&order=asc",
            json!({
                "format": "ndjson", "columns": ["amount", "created_at"], "timezone": "Asia/Kolkata",
                "filters": {
                    "status": ["success", "failed"], "min_amount": 10.5, "from_date": "2026-01-15", "sort_by": "amount",
                    "order": "asc",
                },
            }),
        ),
        ("transactions", "status=failed,pending", json!({"filters": {"status": "failed,pending"}})),
        ("transactions", "excel=true&columns=id", json!({"excel": true, "columns": "id", "filters": null})),
        (
            "reconciliation",
            "older_than_days=0&state=open",
            json!({"filters": {"older_than_days": 0, "state": ["open"]}}),
        ),
        ("metrics-summary", "from_date=2026-01-15&to_date=2026-01-15", json!({ "filters": days })),
        ("payshack-clients", "is_active=true&timezone=UTC", json!({"filters": {"is_active": true}, "timezone": "UTC"})),
    ] {
        let mut files = vec![];
        for mut body in [json!({ "query": query }), fields] {
            body["export"] = export.into();
            let created =
                web.request(Method::POST, EXPORTS, Some(OPERATOR), Some(&body.to_string())).await.expect("a response");
            assert_eq!(created.status, 202, "{body}: {}", created.text);
            let finished = wait_for_export(&web, &created.json(), TIMEOUT).await;
            let file = download(&web, OPERATOR, &finished, &[]).await.text().await.expect("a file");
            files.push((finished["file_name"].clone(), finished["rows"].clone(), file));
        }
        assert_eq!(files[0], files[1], "{export}?{query}");
        if query.contains("min_amount") {
            assert_eq!(files[0].1, 40, "{query}");
            assert!(files[0].2.contains("2026-01-15T15:30:00+05:30"), "{}", files[0].2);
        }
    }
}

/// Creates an export that takes long, and waits until it is running.
async fn start_long_export(system: &TestSystem, web: &Web) -> Value {
    insert_transactions(&system.pool, 1..=60_000).await;
    let export = create_export(web, OPERATOR, "format=xlsx").await;
    eventually("the export to make progress", || async {
        let running = get_export(web, &export).await;
        let has_rows = running["progress"]["progress"].as_u64().is_some_and(|rows| rows > 0);
        assert_ne!(running["state"], "succeeded", "it finished too early to be interrupted");
        has_rows.then_some(())
    })
    .await;
    export
}

#[tokio::test]
async fn export_is_finished_by_another_worker_after_a_kill() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let mut first = system.start_jobs(&["worker"]);
    let export = start_long_export(&system, &web).await;
    first.kill();
    let _second = system.start_jobs(&["worker"]);
    let finished = wait_for_export(&web, &export, 3 * TIMEOUT).await;
    assert_eq!(finished["rows"], 60_000);
    let bytes = download(&web, OPERATOR, &finished, &[]).await.bytes().await.expect("a complete file").to_vec();
    let mut book = open_workbook(bytes);
    assert_eq!(sheet_rows(&mut book, "Transactions").len(), 60_001);
    assert!(
        system.number("SELECT max(epoch) FROM jobs WHERE kind = 'export'").await > 1,
        "another attempt finished it"
    );
}

#[tokio::test]
async fn running_export_can_be_cancelled() {
    let system = TestSystem::start(&[]).await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let export = start_long_export(&system, &web).await;
    let path = export_path(&export);
    let cancelled = web.request(Method::DELETE, &path, Some(OPERATOR), None).await.expect("a response");
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    eventually("the job to stop", || async { (get_export(&web, &export).await["state"] == "cancelled").then_some(()) })
        .await;
    let reading = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                      AND state = 'active' AND query LIKE 'SELECT id, source, kind%'";
    eventually("its statement to end", || async { (system.number(reading).await == 0).then_some(()) }).await;
    assert_eq!(get_export(&web, &export).await["download"], Value::Null);
    assert_eq!(status_and_code(download(&web, OPERATOR, &export, &[]).await).await, (409, "CONFLICT".into()));
}
