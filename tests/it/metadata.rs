//! The PayShack directory: stored and listed completely, written only when changed, kept after delisting.

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::db::metadata::balances;
use psp_dashboard::domain::job::{Claim, JobId, NewJob, SYNC_PAYSHACK_METADATA, Trigger};
use psp_dashboard::domain::metadata::{Balance, BalanceKind, Client, Listing, Metadata, OwnerKind};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::store_metadata::store_metadata;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::eventually;
use crate::harness::servers::{Servers, number};
use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web};

const KIND: &str = "sync-payshack-metadata";
/// Two of the five clients of the sandbox.
const GAME: &str = "5b12c121-06e7-4b53-a8fa-c5d5b56e33ec";
const MNCL: &str = "0d6e2c0a-53a1-4f3b-8a55-6c1f0f7a2b11";
/// Two balances per client, one per reseller.
const BALANCES: i64 = 12;

const RECORDED: &str = "SELECT count(*) FROM payshack_balances";
/// Balances recorded twice on one day without a change.
const RECORDED_IN_VAIN: &str = "SELECT count(*) FROM (
        SELECT amount, recorded_at, lag(amount) OVER held AS amount_before, lag(recorded_at) OVER held AS recorded_before
          FROM payshack_balances
        WINDOW held AS (PARTITION BY owner_kind, owner_id, balance_kind ORDER BY recorded_at, id)) AS recorded
     WHERE amount = amount_before
       AND date_trunc('day', recorded_at, 'UTC') = date_trunc('day', recorded_before, 'UTC')";
/// The sum of the ids of the transactions that last wrote the rows: every write makes it larger.
const WRITTEN: &str = "SELECT ((SELECT sum(xmin::text::bigint) FROM payshack_clients)
                             + (SELECT sum(xmin::text::bigint) FROM payshack_resellers)
                             + (SELECT sum(xmin::text::bigint) FROM payshack_service_providers))::bigint";

/// All items of a listing below `/payshack`.
async fn items(web: &Web, path: &str) -> Vec<Value> {
    let page = web.get(&format!("/api/v1/payshack/{path}")).await;
    let items = page["items"].as_array().expect("items").clone();
    assert_eq!(page["total"], items.len(), "{page}");
    items
}

async fn values(web: &Web, path: &str, field: &str) -> Value {
    items(web, path).await.into_iter().map(|item| item[field].clone()).collect()
}

async fn client(web: &Web, id: &str) -> Value {
    let found = items(web, "clients").await.into_iter().find(|client| client["client_id"] == id);
    found.unwrap_or_else(|| panic!("no client {id}"))
}

/// The result of the last job.
async fn last_result(web: &Web) -> Value {
    let jobs = web.get(&format!("/api/v1/jobs?kind={KIND}&limit=1")).await;
    let id = jobs["items"][0]["id"].as_str().expect("a job");
    web.get(&format!("/api/v1/jobs/{id}")).await["result"].clone()
}

/// Changes a client at the provider.
async fn change_client(system: &TestSystem, id: &str, change: Value) {
    system.sandbox.send(Method::PATCH, &format!("payshack/clients/{id}"), Some(change)).await;
}

#[tokio::test]
async fn payshack_directory_is_stored_and_listed() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    let web = system.start_web().await;
    for path in ["clients", "resellers", "service-providers", "balances"] {
        assert!(items(&web, path).await.is_empty(), "{path}");
    }
    system.run_job("sync-payshack", None);
    system.run_job(KIND, None);
    let logins = system.sandbox.get("requests").await["logins"].clone();
    assert_eq!(logins, json!({"accepted": 1, "refused": 0}), "the session is shared");

    let game = client(&web, GAME).await;
    assert_eq!(
        json!([game["name"], game["email"], game["status"], game["is_active"], game["listed"]]),
        json!(["91G_TECH_PVT_LTD", "client0@example.com", "Active", true, true])
    );
    assert_eq!(
        json!([game["balance"], game["wallet_balance"], game["commission_rate"], game["reseller_id"]]),
        json!(["125000.50", "98000.25", "2.50", "d5aaa8f6-b825-4c62-9a44-f4608e8fc6b7"])
    );
    assert_eq!(values(&web, "clients", "balance").await, json!(vec!["125000.50"; 5]));
    assert_eq!(values(&web, "resellers", "name").await, json!(["Sandbox Reseller", "Second Reseller"]));
    assert_eq!(values(&web, "resellers", "balance").await, json!(["450000.00", "0.00"]));
    assert_eq!(values(&web, "resellers", "role").await, json!(["Reseller", "Reseller"]));
    assert_eq!(values(&web, "service-providers", "service_provider_id").await, json!(["1005", "sp-1004", "sp-1003"]));
    assert_eq!(values(&web, "service-providers", "supports_payin").await, json!([true, false, true]));
    assert_eq!(values(&web, "service-providers", "supports_payout").await, json!([true, true, false]));
    assert_eq!(system.number(RECORDED).await, BALANCES);
    let counts = |result: &Value| json!([result["seen"], result["inserted"], result["balances"]]);
    let result = last_result(&web).await;
    assert_eq!(
        json!([counts(&result["clients"]), counts(&result["resellers"]), counts(&result["service_providers"])]),
        json!([[5, 5, 10], [2, 2, 2], [3, 3, 0]])
    );
}

#[tokio::test]
async fn unchanged_lists_write_nothing_and_changes_only_changed_rows() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    let web = system.start_web().await;
    system.run_job(KIND, None);
    let (written, read_at) = (system.number(WRITTEN).await, client(&web, GAME).await["last_seen_at"].clone());
    system.run_job(KIND, None);
    assert_eq!(system.number(WRITTEN).await, written, "an unchanged row is not written again");
    assert_eq!(system.number(RECORDED_IN_VAIN).await, 0);
    let game = client(&web, GAME).await;
    assert!(game["last_seen_at"].as_str() > read_at.as_str(), "it was seen again: {game}");

    change_client(&system, GAME, json!({"balance": "99.5"})).await;
    for _ in 0..2 {
        system.run_job(KIND, None);
    }
    let game = client(&web, GAME).await;
    assert_eq!(json!([game["balance"], game["wallet_balance"]]), json!(["99.50", "98000.25"]));
    assert!(game["changed_at"].as_str() > game["first_seen_at"].as_str(), "{game}");
    let amounts = values(&web, &format!("balances?client_id={GAME}&balance_kind=balance"), "amount").await;
    assert_eq!(
        (&amounts[0], amounts.as_array().and_then(|all| all.last())),
        (&json!("99.50"), Some(&json!("125000.50")))
    );
    let untouched = "SELECT count(*) FROM payshack_clients WHERE changed_at = first_seen_at";
    assert_eq!(system.number(untouched).await, 4);
    assert_eq!(system.number(RECORDED_IN_VAIN).await, 0);
}

#[tokio::test]
async fn balance_is_recorded_when_changed_or_once_a_day() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    for (time, kind, amount, expected) in [
        ("2026-01-15T10:00:00Z", OwnerKind::Client, 100, 1),
        ("2026-01-15T10:00:00Z", OwnerKind::Reseller, 100, 1),
        ("2026-01-15T10:30:00Z", OwnerKind::Client, 100, 0),
        ("2026-01-15T11:00:00Z", OwnerKind::Client, 101, 1),
        ("2026-01-15T23:59:59Z", OwnerKind::Client, 101, 0),
        ("2026-01-16T00:00:00Z", OwnerKind::Client, 101, 1),
        ("2026-01-16T00:30:00Z", OwnerKind::Client, 101, 0),
        ("2026-01-16T01:00:00Z", OwnerKind::Client, 100, 1),
        ("2026-01-19T10:30:00Z", OwnerKind::Reseller, 100, 1),
        ("2026-01-19T11:00:00Z", OwnerKind::Reseller, 100, 0),
    ] {
        let now: DateTime<Utc> = time.parse().expect("a time");
        let balance = Balance { owner_kind: kind, owner_id: "7", kind: BalanceKind::Balance, amount: amount.into() };
        let mut connection = pool.acquire().await.expect("a connection");
        let recorded = balances::insert_due(&mut connection, &[balance], now).await.expect("the database takes it");
        assert_eq!(recorded, expected, "{time} {kind:?} {amount}");
    }
}

#[tokio::test]
async fn delisted_row_is_marked_until_it_is_listed_again() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    let web = system.start_web().await;
    system.run_job(KIND, None);
    let last_seen_at = client(&web, MNCL).await["last_seen_at"].clone();
    system.sandbox.send(Method::DELETE, &format!("payshack/clients/{MNCL}"), None).await;
    system.run_job(KIND, None);
    assert_eq!(last_result(&web).await["clients"]["unlisted"], 1);
    let written = system.number(WRITTEN).await;
    system.run_job(KIND, None);
    assert_eq!(system.number(WRITTEN).await, written, "it is marked once");
    let gone = client(&web, MNCL).await;
    assert_eq!((&gone["listed"], &gone["last_seen_at"]), (&json!(false), &last_seen_at));
    assert_eq!(gone["balance"], "125000.50", "what is known of it stays");
    assert_eq!(values(&web, "clients?listed=false", "client_id").await, json!([MNCL]));
    assert_eq!(items(&web, "clients?listed=true").await.len(), 4);

    let back = json!({"id": MNCL, "name": "Back again"});
    system.sandbox.send(Method::POST, "payshack/clients", Some(back)).await;
    system.run_job(KIND, None);
    let back = client(&web, MNCL).await;
    assert_eq!((&back["listed"], &back["name"], &back["balance"]), (&json!(true), &json!("Back again"), &Value::Null));
    assert_eq!(back["first_seen_at"], gone["first_seen_at"]);
}

#[tokio::test]
async fn unreadable_row_is_reported_and_other_rows_are_stored() {
    let system = TestSystem::start(&[]).await;
    let worker = system.start_jobs(&["worker"]);
    let web = system.start_web().await;
    system.run_job(KIND, None);
    change_client(&system, GAME, json!({"balance": "a lot", "name": "New name"})).await;
    change_client(&system, MNCL, json!({"balance": "7"})).await;
    for broken in [json!({"name": "Nobody"}), json!(17)] {
        system.sandbox.send(Method::POST, "payshack/clients", Some(broken)).await;
    }
    system.run_job(KIND, None);
    let result = last_result(&web).await["clients"].clone();
    assert_eq!(
        json!([result["seen"], result["updated"], result["unchanged"], result["unreadable"], result["unlisted"]]),
        json!([7, 1, 3, 3, 0])
    );
    let expected = json!([
        {"id": GAME, "reason": "balance should be an exact amount but is a text of 5 characters"},
        {"id": null, "reason": "clientId is missing"},
        {"id": null, "reason": "the row is \"17\", not an object"},
    ]);
    assert_eq!(result["unreadable_rows"], expected);
    let said = worker.output();
    for reason in ["clientId is missing", "a text of 5 characters"] {
        assert!(said.contains(reason), "{reason} is in no line of the log");
    }
    let game = client(&web, GAME).await;
    let as_before = json!(["91G_TECH_PVT_LTD", "125000.50", true]);
    assert_eq!(json!([game["name"], game["balance"], game["listed"]]), as_before, "as it was last read");
    assert_eq!(client(&web, MNCL).await["balance"], "7.00");
}

#[tokio::test]
async fn refused_list_does_not_block_other_lists() {
    let system = TestSystem::start(&["--fault", "success-false=1"]).await;
    let _worker = system.start_jobs(&["worker"]);
    let web = system.start_web().await;
    let job = NewJob::without_args(&SYNC_PAYSHACK_METADATA, Trigger::Cli);
    enqueue_job(&system.pool, &system.servers.redis().await, &job).await.expect("the job can be enqueued");
    eventually("every list to be asked for", || async {
        let answered = system.sandbox.get("requests").await["answered"].clone();
        answered.get("/payshack/indigate-core-svc/api/v1/service-provider/fetch-all-sp").map(|_| ())
    })
    .await;
    system.sandbox.send(Method::PUT, "faults", Some(json!({"success-false": 0}))).await;
    system.wait_until_idle().await;
    assert_eq!(items(&web, "clients").await.len(), 5, "the refusal was retried");
}

#[tokio::test]
async fn killed_worker_keeps_stored_lists_and_another_reads_the_rest() {
    let system = TestSystem::start(&["--fault", "latency-ms=400"]).await;
    let mut first = system.start_jobs(&["worker"]);
    let scheduler = system.start_jobs(&["scheduler"]);
    eventually("a list to be stored", || async {
        (system.number("SELECT count(*) FROM payshack_lists").await > 0).then_some(())
    })
    .await;
    first.kill();
    drop(scheduler);
    assert!(system.number("SELECT count(*) FROM payshack_lists").await < 3, "it was at work");
    system.sandbox.send(Method::PUT, "faults", Some(json!({"latency-ms": 0}))).await;
    let _second = system.start_jobs(&["worker"]);
    system.wait_until_idle().await;
    assert_eq!(system.number("SELECT count(*) FROM payshack_lists").await, 3);
    assert_eq!(system.number("SELECT count(*) FROM payshack_service_providers").await, 3);
    assert!(system.number(RECORDED).await >= BALANCES);
    assert_eq!(system.number(RECORDED_IN_VAIN).await, 0);
}

#[tokio::test]
async fn lost_claim_writes_nothing() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let client = Client {
        client_id: "7".to_owned(),
        name: None,
        email: None,
        status: None,
        is_active: None,
        balance: Some(5.into()),
        wallet_balance: None,
        commission_rate: None,
        reseller_id: None,
    };
    let metadata = Metadata::Clients(Listing { rows: vec![client], unreadable: vec![] });
    let claim = Claim { job_id: JobId(Uuid::now_v7()), epoch: 1 };
    let refused = store_metadata(&pool, &claim, &metadata, &json!({}), SystemClock.now()).await;
    assert!(matches!(refused, Err(DbError::ClaimLost)), "{refused:?}");
    for table in [RECORDED, "SELECT count(*) FROM payshack_clients", "SELECT count(*) FROM payshack_lists"] {
        assert_eq!(number(&pool, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn lists_are_paged_searched_and_masked() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    let web = system.start_web().await;
    change_client(&system, MNCL, json!({"isActive": false, "companyName": "50%_Shop"})).await;
    system.run_job(KIND, None);
    for (listing, total) in [("clients", 5), ("resellers", 2), ("service-providers", 3), ("balances", 12)] {
        let all = items(&web, listing).await;
        let (mut walked, mut path) = (vec![], format!("/api/v1/payshack/{listing}?limit=1"));
        loop {
            let page = web.get(&path).await;
            assert_eq!(json!([page["total"], page["limit"], page["pages"]]), json!([total, 1, total]), "{page}");
            walked.extend(page["items"].as_array().expect("items").iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/api/v1/payshack/{listing}?limit=1&cursor={cursor}");
        }
        assert_eq!(walked, all, "{listing}");
        assert_eq!(items_of_page(&web, listing, 2).await, all[1..2], "{listing}");
    }
    for (query, found) in [
        ("clients?search=91g_tech", 1),
        ("clients?search=50%25_", 1),
        ("clients?search=%25", 1),
        ("clients?search=0d6e2c0a", 1),
        ("clients?search=example.com", 0),
        ("clients?is_active=false", 1),
        ("clients?is_active=true&search=_", 4),
        ("resellers?is_active=true", 1),
        ("resellers?search=second", 1),
        ("service-providers?is_active=false", 1),
        ("service-providers?search=sp-100", 2),
        ("service-providers?listed=false", 0),
        ("balances?owner_kind=reseller", 2),
        ("balances?balance_kind=wallet_balance", 5),
        (&format!("balances?client_id={GAME},{MNCL}"), 4),
        (&format!("balances?client_id={GAME}&balance_kind=balance"), 1),
        (&format!("balances?owner_kind=reseller&client_id={GAME}"), 0),
        ("balances?reseller_id=d5aaa8f6-b825-4c62-9a44-f4608e8fc6b7", 1),
        ("balances?to_date=2026-01-01", 0),
        ("balances?from_date=2026-01-01", 12),
        ("balances?from_date=2099-01-01&timezone=Asia/Kolkata", 0),
    ] {
        assert_eq!(items(&web, query).await.len(), found, "{query}");
    }
    let names = values(&web, &format!("balances?client_id={GAME}"), "owner_name").await;
    assert_eq!(names, json!(["91G_TECH_PVT_LTD", "91G_TECH_PVT_LTD"]));
    for (path, key, email) in [
        ("clients?search=91g", VIEWER, "c***@example.com"),
        ("clients?search=91g", OPERATOR, "client0@example.com"),
        ("resellers?search=second", VIEWER, "s***@example.com"),
        ("resellers?search=second", OPERATOR, "second@example.com"),
    ] {
        let response = web.request(Method::GET, &format!("/api/v1/payshack/{path}"), Some(key), None).await;
        assert_eq!(response.expect("a response").json()["items"][0]["email"], email, "{path}");
    }
}

async fn items_of_page(web: &Web, listing: &str, page: u32) -> Vec<Value> {
    let page = web.get(&format!("/api/v1/payshack/{listing}?limit=1&page={page}")).await;
    page["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn invalid_parameters_are_reported_by_field() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    for (path, field) in [
        ("clients?is_active=perhaps", "is_active"),
        ("resellers?limit=101", "limit"),
        ("service-providers?cursor=forged", "cursor"),
        ("balances?owner_kind=bank", "owner_kind"),
        ("balances?balance_kind=gold", "balance_kind"),
        ("balances?from_date=2026-02-01&to_date=2026-01-01", "from_date"),
        ("balances?timezone=Nowhere/Land", "timezone"),
    ] {
        let response = web.request(Method::GET, &format!("/api/v1/payshack/{path}"), Some(VIEWER), None).await;
        let response = response.expect("a response");
        assert_eq!((response.status, response.json()["errors"][0]["field"].as_str()), (422, Some(field)), "{path}");
    }
    for path in ["clients", "resellers", "service-providers", "balances"] {
        let response = web.request(Method::GET, &format!("/api/v1/payshack/{path}"), None, None).await;
        assert_eq!(response.expect("a response").status, 401, "{path}");
    }
}
