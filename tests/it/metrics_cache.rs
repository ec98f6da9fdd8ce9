//! Cached responses are never stale: a request after a commit sees its payments, also with concurrent requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono_tz::Tz;
use psp_dashboard::db::metrics::sums;
use psp_dashboard::db::reads::ReadPools;
use psp_dashboard::domain::day::DayRange;
use psp_dashboard::domain::metrics::cell::Measures;
use psp_dashboard::domain::metrics::granularity::Granularity;
use psp_dashboard::domain::metrics::query::{Dimension, MetricFilter, MetricQuery, MetricRow};
use psp_dashboard::domain::metrics::time_buckets::TimeBuckets;
use psp_dashboard::domain::time_range::TimeRange;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::ingest_page::Checkpoint;
use psp_dashboard::operations::metrics_cache::{MetricsAnswer, MetricsCache};
use psp_dashboard::operations::pack_days::pack_days;
use psp_dashboard::providers::vima::read_operation;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::harness::ingest_fixture::IngestFixture;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};

const TRENDS: &str = "/api/v1/metrics/trends?from_date=2026-01-15&to_date=2026-01-15&timezone=UTC";
const PAGE: &str = "/api/v1/transactions?from_date=2026-01-15&to_date=2026-01-15&timezone=UTC";
const OVERVIEW: &str = "/api/v1/metrics/overview?from_date=2026-01-15&to_date=2026-01-15&timezone=UTC";

async fn store(books: &IngestFixture, id: u64) {
    store_update(books, id, 1, "2026-01-15T10:00:00Z").await;
}

async fn store_update(books: &IngestFixture, id: u64, update: u64, created_at: &str) {
    let raw = json!({
        "operation_id": id.to_string(),
        "operation_update_id": update.to_string(),
        "operation_created_at": created_at,
        "payment_status": "success",
        "complete_amount": 5,
        "complete_currency": "INR",
    });
    ingest(books, &raw).await;
}

async fn ingest(books: &IngestFixture, raw: &Value) {
    books.ingest(vec![read_operation(&raw.to_string()).record], Checkpoint::None).await.expect("the page is stored");
}

async fn count(web: &Web, path: &str) -> u64 {
    let response = web.get(path).await;
    let buckets = response["data"].as_array().into_iter().flatten();
    let of_buckets: u64 = buckets.filter_map(|bucket| bucket["count"].as_u64()).sum();
    ["total_count", "total"].iter().find_map(|name| response[name].as_u64()).unwrap_or(of_buckets)
}

/// Compares each count with what was stored before its request, and counts the responses.
async fn read_until(web: &Web, path: &str, stored: &AtomicU64, ended: &AtomicBool, responses: &AtomicU64) {
    while !ended.load(Ordering::SeqCst) {
        let before = stored.load(Ordering::SeqCst);
        let counted = count(web, path).await;
        assert!(counted >= before, "{path} counted {counted} after {before} were stored");
        responses.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn response_contains_everything_committed_before_the_request() {
    let system = TestSystem::start(&[]).await;
    let books = IngestFixture::start_on(Arc::clone(&system.servers)).await;
    let web = system.start_web().await;
    let (stored, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let responses: [AtomicU64; 9] = Default::default();
    // Until every reader has had several responses in between, however fast commits are on this machine.
    let writer = async {
        for id in 1.. {
            store(&books, id).await;
            stored.store(id, Ordering::SeqCst);
            if id >= 60 && responses.iter().all(|responses| responses.load(Ordering::SeqCst) > 1) {
                break;
            }
        }
        ended.store(true, Ordering::SeqCst);
    };
    let readers = [OVERVIEW, TRENDS, PAGE].into_iter().cycle().zip(&responses);
    let readers = readers.map(|(path, responses)| read_until(&web, path, &stored, &ended, responses));
    tokio::join!(writer, futures_util::future::join_all(readers));
    let stored = stored.load(Ordering::SeqCst);
    for path in [OVERVIEW, TRENDS, PAGE] {
        assert_eq!(count(&web, path).await, stored);
    }
}

/// Changes that move no total are shown too, and personal data is never shown to a role without access.
#[tokio::test]
async fn cached_page_shows_changes_and_respects_roles() {
    let system = TestSystem::start(&[]).await;
    let books = IngestFixture::start_on(Arc::clone(&system.servers)).await;
    let web = system.start_web().await;
    let version = |update: u64, email: &str| {
        json!({
            "operation_id": "1",
            "operation_update_id": update.to_string(),
            "operation_created_at": "2026-01-15T10:00:00Z",
            "payment_status": "success",
            "complete_amount": 5,
            "complete_currency": "INR",
            "contact": email,
        })
    };
    let shown = async |key: &str| {
        let response = web.request(Method::GET, PAGE, Some(key), None).await.expect("a response").json();
        response["items"][0]["user_email"].as_str().expect("an address").to_owned()
    };
    ingest(&books, &version(1, "first@example.com")).await;
    for (key, email) in [(ADMIN, "first@example.com"), (VIEWER, "f***@example.com"), (OPERATOR, "first@example.com")] {
        assert_eq!(shown(key).await, email);
    }
    ingest(&books, &version(2, "second@example.com")).await;
    for (key, email) in [(VIEWER, "s***@example.com"), (OPERATOR, "second@example.com"), (VIEWER, "s***@example.com")] {
        assert_eq!(shown(key).await, email);
    }
}

#[tokio::test]
async fn cached_response_has_the_current_data_as_of() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    assert_eq!(web.get(TRENDS).await["data_as_of"]["vima"], Value::Null);
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let first = web.get(TRENDS).await["data_as_of"].clone();
    assert!(first["vima"].is_string() && first["payshack"].is_string(), "{first}");
    // Nothing of that day changes: the totals stay valid, but `data_as_of` does not.
    system.run_job("sync-vima", None);
    let second = web.get(TRENDS).await["data_as_of"].clone();
    assert_ne!(first["vima"], second["vima"]);
    assert_eq!(first["payshack"], second["payshack"]);
}

/// Each cached response is compared with one that was computed without a cache.
#[tokio::test]
async fn change_of_any_day_is_in_the_next_response() {
    let books = IngestFixture::start().await;
    let pool = &books.pool;
    let metrics = MetricsCache::new(ReadPools::only(pool.clone()));
    let day = |text: &str| text.parse().expect(text);
    let kolkata = DayRange::new(day("2026-01-01"), day("2026-02-10"), Tz::Asia__Kolkata).expect("days");
    let (hours, _) = TimeBuckets::calendar(kolkata, Granularity::Hour).expect("few enough");
    let questions = [
        MetricQuery::new(MetricFilter::default(), TimeBuckets::one(TimeRange::ALL)).with_fees(),
        MetricQuery::new(MetricFilter::default(), hours).by(Dimension::Project),
        MetricQuery::new(
            MetricFilter { sources: vec![Source::Payshack], ..MetricFilter::default() },
            TimeBuckets::one(TimeRange::ALL),
        ),
    ];
    let check = async |what: &str| {
        for question in &questions {
            let (kept, new) =
                (metrics.query(question).await, MetricsCache::new(ReadPools::only(pool.clone())).query(question).await);
            let (kept, new) = (kept.expect("a response"), new.expect("a response"));
            let whole = sums::list_at_once(pool, question).await.expect("a response");
            assert_eq!(measures_by_key(&kept), measures_by_key(&new), "{what}: {question:?}");
            assert_eq!(measures_by_key(&kept), added_up(&whole), "{what}: {question:?}");
        }
        metrics.query(&questions[0]).await.expect("a response").rows.iter().map(|sum| sum.measures.count).sum::<i64>()
    };
    assert_eq!(check("nothing").await, 0);
    let now = "2026-02-04T12:00:00Z".parse().expect("a time");
    for (what, id, update, created_at, expected) in [
        ("the first of all", 1, 1, "2026-02-03T10:00:00Z", 1),
        ("another of a day long ago", 2, 1, "2026-01-05T23:50:00Z", 2),
        ("one of yesterday, which is today in Kolkata", 3, 1, "2026-02-02T20:00:00Z", 3),
        ("the one of long ago moves to today", 2, 2, "2026-02-03T00:10:00Z", 3),
        ("and to a new day, which is the newest now", 2, 3, "2026-02-04T00:10:00Z", 3),
        ("one of long ago again", 4, 1, "2026-01-05T23:50:00Z", 4),
    ] {
        store_update(&books, id, update, created_at).await;
        assert_eq!(check(what).await, expected, "{what}");
        pack_days(pool, now).await.expect("the days are packed");
        assert_eq!(check(what).await, expected, "{what}, packed");
    }
    // As a process of the previous release writes: without a version per day.
    pool.execute(
        "UPDATE metric_cells SET count = count + 1 WHERE bucket < '2026-01-10Z';
         UPDATE payment_versions SET version = version + 1 WHERE source = 'vima'",
    )
    .await
    .expect("the cells are there");
    assert_eq!(check("of a day without a version").await, 5);
    store(&books, 5).await;
    assert_eq!(check("after another change").await, 6);
    pool.execute("TRUNCATE payment_day_versions, packed_days, packed_cells; UPDATE payment_versions SET version = 1, told = 0, untold = 0")
        .await
        .expect("the tables are there");
    pool.execute("UPDATE metric_cells SET count = count + 1 WHERE bucket < '2026-01-10Z'")
        .await
        .expect("the cells are there");
    assert_eq!(check("put back to an earlier state").await, 7);
}

fn measures_by_key(response: &MetricsAnswer) -> BTreeMap<String, Measures> {
    added_up(&response.rows)
}

fn added_up(sums: &[MetricRow]) -> BTreeMap<String, Measures> {
    let mut added = BTreeMap::<String, Measures>::new();
    for sum in sums {
        let what = (sum.bucket, sum.source, &sum.member, sum.status, &sum.currency);
        *added.entry(format!("{what:?}")).or_default() += sum.measures;
    }
    added
}
