//! Answers are kept while they hold, and not a moment longer: whoever asks after a payment was stored finds it counted, however
//! many ask at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use psp_dashboard::operations::ingest_page::Advance;
use psp_dashboard::providers::vima::read_operation;
use serde_json::{Value, json};

use crate::harness::books::Books;
use crate::harness::stage::{Stage, Web};

const TRENDS: &str = "/api/v1/metrics/trends?from_date=2026-01-15&to_date=2026-01-15&timezone=UTC";
const OVERVIEW: &str = "/api/v1/metrics/overview?from_date=2026-01-15&to_date=2026-01-15&timezone=UTC";

async fn store(books: &Books, id: u64) {
    let raw = json!({
        "operation_id": id.to_string(),
        "operation_update_id": "1",
        "operation_created_at": "2026-01-15T10:00:00Z",
        "payment_status": "success",
        "complete_amount": 5,
        "complete_currency": "INR",
    });
    books.ingest(vec![read_operation(&raw.to_string()).record], Advance::Stay).await.expect("the page is stored");
}

async fn count(web: &Web, path: &str) -> u64 {
    let answer = web.get(path).await;
    let buckets = answer["data"].as_array().into_iter().flatten();
    let of_buckets: u64 = buckets.filter_map(|bucket| bucket["count"].as_u64()).sum();
    answer["total_count"].as_u64().unwrap_or(of_buckets)
}

#[tokio::test]
async fn no_answer_misses_what_was_stored_before_it_was_asked_for() {
    let stage = Stage::set(&[]).await;
    let books = Books::open_on(Arc::clone(&stage.servers)).await;
    let web = stage.web().await;
    let (stored, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let writer = async {
        for id in 1..=60 {
            store(&books, id).await;
            stored.store(id, Ordering::SeqCst);
        }
        ended.store(true, Ordering::SeqCst);
    };
    let reader = |path: &'static str| {
        let (web, stored, ended) = (&web, &stored, &ended);
        async move {
            let mut answers = 0;
            while !ended.load(Ordering::SeqCst) {
                let before = stored.load(Ordering::SeqCst);
                let counted = count(web, path).await;
                assert!(counted >= before, "{path} counted {counted} after {before} were stored");
                answers += 1;
            }
            answers
        }
    };
    let readers = [OVERVIEW, TRENDS].into_iter().cycle().take(8).map(reader);
    let ((), answers) = tokio::join!(writer, futures_util::future::join_all(readers));
    assert!(answers.iter().all(|answers: &u64| *answers > 1), "{answers:?}");
    for path in [OVERVIEW, TRENDS] {
        assert_eq!(count(&web, path).await, 60);
    }
}

#[tokio::test]
async fn an_answer_that_is_kept_tells_how_far_the_sources_have_been_read_by_now() {
    let stage = Stage::set(&[]).await;
    let web = stage.web().await;
    assert_eq!(web.get(TRENDS).await["data_as_of"]["vima"], Value::Null);
    let _worker = stage.jobs(&["worker"]);
    stage.sync_both().await;
    let first = web.get(TRENDS).await["data_as_of"].clone();
    assert!(first["vima"].is_string() && first["payshack"].is_string(), "{first}");
    // Nothing of that day changes: the sums hold, and what is said of the sources does not.
    stage.succeed("sync-vima", None);
    let second = web.get(TRENDS).await["data_as_of"].clone();
    assert_ne!(first["vima"], second["vima"]);
    assert_eq!(first["payshack"], second["payshack"]);
}
