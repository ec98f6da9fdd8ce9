//! Runs and days in the API: results, status and open discrepancies.

mod summary;

use chrono::{Days, NaiveDate, TimeDelta};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::reconciliation::tally::{BySide, Tally};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::run_fixture::RunFixture;
use crate::harness::test_system::{ApiResponse, TestSystem, VIEWER, Web};

const RUNS: &str = "/api/v1/reconciliation/runs";

async fn ask(web: &Web, path: &str) -> ApiResponse {
    web.request(Method::GET, path, Some(VIEWER), None).await.expect("the web process responds")
}

async fn run(web: &Web, id: Uuid) -> Value {
    web.get(&format!("{RUNS}/{id}")).await
}

async fn summary(web: &Web, date: NaiveDate) -> Value {
    web.get(&format!("/api/v1/reconciliation/summary?date={date}")).await
}

fn ids(page: &Value) -> Vec<Value> {
    page["items"].as_array().expect("items").iter().map(|item| item["id"].clone()).collect()
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect(text)
}

/// A job of the day in this state; if it is running, its lease is valid for this many seconds.
async fn job_in(system: &TestSystem, date: &str, stands: &str, held: i32) -> Uuid {
    let id = system.enqueue("reconcile", Some(&json!({"date": date}).to_string()));
    sqlx::query!(
        r#"WITH held AS (
               INSERT INTO job_leases (job_id, epoch, worker, expires_at)
               SELECT $1, 1, 'w', now() + make_interval(secs => $3) WHERE $2 = 'running')
           UPDATE jobs SET state = $2, finished_at = CASE WHEN $2 IN ('failed', 'cancelled') THEN now() END,
                  error = CASE WHEN $2 IN ('failed', 'retrying') THEN 'PostgreSQL was away' END
            WHERE id = $1"#,
        id,
        stands,
        f64::from(held)
    )
    .execute(&system.pool)
    .await
    .expect("the jobs table responds");
    id
}

fn some_of_everything() -> Tally {
    Tally {
        total: BySide { vima: 14, payshack: 12 },
        matched: 4,
        amount_discrepancies: 1,
        status_discrepancies: 2,
        missing_vima: 1,
        missing_payshack: 2,
        pending: 2,
        pending_rows: BySide { vima: 2, payshack: 1 },
        duplicates: BySide { vima: 2, payshack: 1 },
        unmatchable: BySide { vima: 1, payshack: 2 },
    }
}

fn rupees() -> Value {
    json!({"INR": {"matched": "400", "amount": "1.50", "status": "200", "missing_vima": "100", "missing_payshack": "50.25",
                   "duplicate": "10", "pending": "20"}})
}

/// The links of a run that found some of everything.
fn rows_urls(run_id: Uuid) -> Value {
    let results = |filter: &str| format!("{RUNS}/{run_id}/results?match_status={filter}");
    json!({
        "amount_discrepancies": results("discrepancy&discrepancy_type=amount"),
        "status_discrepancies": results("discrepancy&discrepancy_type=status"),
        "missing_vima": results("missing_vima"), "missing_payshack": results("missing_payshack"),
        "pending": results("pending"), "duplicates": results("duplicate"), "unmatchable": results("unmatchable"),
    })
}

#[tokio::test]
async fn run_has_its_parameters_and_counts() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let wanted = RunFixture::completed(day("2025-01-15")).with_tally(some_of_everything()).with_amounts(rupees());
    let id = wanted.insert(&system.pool).await;
    let shown = run(&web, id).await;
    let expected = json!({
        "id": id, "job_id": id, "date": "2025-01-15", "status": "completed", "version": 1, "trigger": "schedule",
        "requested_by": null, "started_at": "2025-01-16T02:00:00Z", "finished_at": "2025-01-16T02:00:01.500Z",
        "duration_ms": 1500, "error": null, "as_of": "2025-01-16T02:00:00Z", "day_from": "2025-01-15T00:00:00Z",
        "day_until": "2025-01-16T00:00:00Z",
        "parameters": {"timezone": "UTC", "projects": ["91game"], "window_hours": 24, "amount_tolerance": "0.01",
                       "amount_tolerance_percent": "0.00", "pending_grace_minutes": 120, "settle_minutes": 30},
        "watermarks": {"vima": {"watermark": "2025-01-16T00:00:00Z", "covered_from": "2025-01-15T00:00:00Z"},
                       "payshack": {"watermark": "2025-01-16T01:00:00Z", "covered_from": "2025-01-15T00:00:00Z"}},
        "counts": {"total_transactions": 12, "total_vima": 14, "total_payshack": 12, "matched": 4,
                   "amount_discrepancies": 1, "status_discrepancies": 2, "missing_vima": 1, "missing_payshack": 2,
                   "pending": 2, "pending_rows": {"count": 3, "vima": 2, "payshack": 1},
                   "duplicates": {"count": 3, "vima": 2, "payshack": 1},
                   "unmatchable": {"count": 3, "vima": 1, "payshack": 2}},
        "percentages": {"matched": 33.33, "discrepancies": 25.0, "missing": 25.0, "pending": 16.67},
        "amounts": [{"currency": "INR", "matched": "400.00", "pending": "20.00",
                     "at_risk": {"amount": "1.50", "status": "200.00", "missing_vima": "100.00",
                                 "missing_payshack": "50.25", "duplicate": "10.00"}}],
        "results_deleted_at": null, "rows_urls": rows_urls(id),
    });
    assert_eq!(shown, expected);
    assert_eq!(web.get(RUNS).await["items"], json!([shown]));
}

#[tokio::test]
async fn run_status_follows_its_job() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    // Before it has started, a run is only a job.
    for (date, state, held, expected) in [
        ("2025-01-01", "queued", 0, "queued"),
        ("2025-01-02", "retrying", 0, "queued"),
        ("2025-01-03", "running", 60, "running"),
        ("2025-01-04", "failed", 0, "failed"),
        ("2025-01-05", "cancelled", 0, "cancelled"),
    ] {
        let id = job_in(&system, date, state, held).await;
        let shown = run(&web, id).await;
        let actual = ["date", "status", "trigger", "started_at", "parameters"].map(|field| shown[field].clone());
        assert_eq!(actual, [json!(date), json!(expected), json!("cli"), Value::Null, Value::Null], "{state}: {shown}");
        let found = web.get(&format!("{RUNS}/{id}/results")).await;
        assert_eq!(found["total"], 0, "it has found nothing yet");

        // Then its row has the status, and its job says whether it is running.
        RunFixture::running(day(date)).with_id(id).insert(&system.pool).await;
        let shown = run(&web, id).await;
        assert_eq!((&shown["status"], shown["started_at"].is_string()), (&json!(expected), true), "{state}: {shown}");
        let error = if ["retrying", "failed"].contains(&state) { json!("PostgreSQL was away") } else { Value::Null };
        assert_eq!(shown["error"], error, "{state}: {shown}");
    }
    // A worker died: the run is not running, whatever its row says, until the job is rescued.
    let id = job_in(&system, "2025-01-06", "running", -1).await;
    RunFixture::running(day("2025-01-06")).with_id(id).insert(&system.pool).await;
    assert_eq!(run(&web, id).await["status"], "queued");
    // An attempt failed, and another follows.
    let id = job_in(&system, "2025-01-08", "retrying", 0).await;
    RunFixture::failed(day("2025-01-08")).with_id(id).insert(&system.pool).await;
    let shown = run(&web, id).await;
    let actual = ["status", "finished_at", "duration_ms", "error"].map(|field| shown[field].clone());
    assert_eq!(actual, [json!("queued"), Value::Null, Value::Null, json!("the rows do not add up")], "{shown}");
    let forgotten = RunFixture::running(day("2025-01-07")).insert(&system.pool).await;
    assert_eq!(run(&web, forgotten).await["status"], "failed", "its job was cleared away");

    let of = async |status: &str| web.get(&format!("{RUNS}?status={status}")).await["total"].clone();
    for (status, expected) in
        [("queued", 4), ("running", 1), ("failed", 2), ("cancelled", 1), ("completed", 0), ("failed,running", 3)]
    {
        assert_eq!(of(status).await, expected, "{status}");
    }
    let sync = system.enqueue("sync-vima", None);
    for missing_id in [sync, Uuid::now_v7()] {
        for path in [format!("{RUNS}/{missing_id}"), format!("{RUNS}/{missing_id}/results")] {
            let response = ask(&web, &path).await;
            assert!(response.status == 404 && response.text.contains("there is no such run"), "{path}: {response:?}");
        }
    }
}

#[tokio::test]
async fn runs_are_listed_newest_first() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let mut newest_first = vec![];
    for number in 0..7 {
        let date = day("2025-01-10") + Days::new(number);
        newest_first.insert(0, json!(RunFixture::completed(date).insert(&system.pool).await));
    }
    // Two at the same time are sorted by id.
    let again = RunFixture::failed(day("2025-01-16")).with_started_at("2025-01-17T02:00:00Z".parse().expect("a time"));
    newest_first.insert(0, json!(again.insert(&system.pool).await));
    let (mut walked, mut path) = (vec![], format!("{RUNS}?limit=3"));
    loop {
        let page = web.get(&path).await;
        assert_eq!((&page["total"], &page["total_relation"]), (&json!(8), &json!("exact")));
        walked.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{RUNS}?limit=3&cursor={cursor}");
    }
    assert_eq!(walked, newest_first);
    for (filter, expected) in [
        ("date=2025-01-16", &newest_first[..2]),
        ("date=2025-01-16&status=completed", &newest_first[1..2]),
        ("from_date=2025-01-15", &newest_first[..3]),
        ("to_date=2025-01-11", &newest_first[6..]),
        ("from_date=2025-01-11&to_date=2025-01-12", &newest_first[5..7]),
        ("trigger=schedule,api&page=2&limit=6", &newest_first[6..]),
        ("trigger=api", &[]),
    ] {
        assert_eq!(ids(&web.get(&format!("{RUNS}?{filter}")).await), expected, "{filter}");
    }
    for (query, message) in [
        ("status=done", "must be one of queued, running, completed, failed, cancelled"),
        ("trigger=nobody", "must be one of schedule, api, cli, retry"),
        ("date=2025-01-15&from_date=2025-01-15", "cannot be combined with from_date or to_date"),
        ("from_date=2025-01-15&to_date=2025-01-14", "swap them"),
        ("date=today", "must be a day"),
        ("cursor=forged", "cursor"),
    ] {
        let response = ask(&web, &format!("{RUNS}?{query}")).await;
        assert!(response.status == 422 && response.text.contains(message), "{query}: {response:?}");
    }
    assert_eq!(ask(&web, &format!("{RUNS}/17")).await.status, 422);
}

async fn insert_findings(system: &TestSystem, run_id: Uuid, match_status: &str, count: i32) {
    sqlx::query!(
        r#"INSERT INTO reconciliation_results (run_id, recon_date, key, match_status, types, payshack_txn_id,
                                               payshack_amount, payshack_currency, payshack_status, details)
           SELECT $1, '2025-01-15', CASE WHEN $2 <> 'unmatchable' THEN 'K' || number END, $2,
                  CASE WHEN $2 = 'missing_vima' THEN ARRAY['missing'] ELSE '{}' END, gen_random_uuid(), 100.5, 'INR',
                  'success', '{"why": "so"}'
             FROM generate_series(1, $3) AS number"#,
        run_id,
        match_status,
        count
    )
    .execute(&system.pool)
    .await
    .expect("the database takes them");
}

#[tokio::test]
async fn run_results_are_listed() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let id = RunFixture::completed(day("2025-01-15")).insert(&system.pool).await;
    let other = RunFixture::completed(day("2025-01-16")).insert(&system.pool).await;
    insert_findings(&system, id, "pending", 3).await;
    insert_findings(&system, id, "missing_vima", 2).await;
    insert_findings(&system, other, "pending", 1).await;
    insert_findings(&system, id, "unmatchable", 1).await;
    let results = format!("{RUNS}/{id}/results");
    let all = web.get(&results).await;
    assert_eq!(all["total"], 6);
    let (mut walked, mut path) = (vec![], format!("{results}?limit=4"));
    loop {
        let page = web.get(&path).await;
        walked.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{results}?limit=4&cursor={cursor}");
    }
    assert_eq!(walked, ids(&all));
    for (filter, expected) in
        [("pending", 3), ("missing_vima", 2), ("unmatchable", 1), ("pending,unmatchable", 4), ("duplicate", 0)]
    {
        let page = web.get(&format!("{results}?match_status={filter}")).await;
        assert_eq!((&page["total"], ids(&page).len()), (&json!(expected), expected), "{filter}");
    }
    let missing = &web.get(&format!("{results}?match_status=missing_vima")).await["items"][0];
    let fields =
        ["client_operation_id", "discrepancy_type", "types", "payshack_amount", "payshack_status", "vima_amount"];
    let actual = fields.map(|field| missing[field].clone());
    let expected = [json!("K1"), json!("missing"), json!(["missing"]), json!("100.50"), json!("success"), Value::Null];
    assert_eq!((actual, &missing["details"]), (expected, &json!({"why": "so"})), "{missing}");
    let unmatchable = &web.get(&format!("{results}?match_status=unmatchable")).await["items"][0];
    assert_eq!((&unmatchable["client_operation_id"], &unmatchable["discrepancy_type"]), (&Value::Null, &Value::Null));
    let response = ask(&web, &format!("{results}?match_status=matched")).await;
    let message = "must be one of discrepancy, missing_vima, missing_payshack, pending, duplicate, unmatchable";
    assert!(response.status == 422 && response.text.contains(message), "{response:?}");
}
