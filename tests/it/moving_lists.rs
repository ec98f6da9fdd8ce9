//! Lists that change while they are read: in any order and with any date filter, every payment that existed when the read
//! started is stored when it ends.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::test_system::TestSystem;

/// How often payments are created and changed during a read.
const CHANGES: usize = 25;

async fn provider_ids(system: &TestSystem) -> BTreeSet<String> {
    let records = system.sandbox.get("truth/records?source=payshack&kind=payin").await;
    let records = records.as_array().expect("a list").iter();
    records.map(|record| record["source_id"].as_str().expect("an id").to_owned()).collect()
}

async fn stored_ids(system: &TestSystem) -> BTreeSet<String> {
    let ids = sqlx::query_scalar!("SELECT source_id FROM transactions WHERE source = 'payshack' AND kind = 'payin'");
    ids.fetch_all(&system.pool).await.expect("the payments can be read").into_iter().collect()
}

/// Creates and changes payments until the job has ended, at most [`CHANGES`] times.
async fn change_during(system: &TestSystem, job_id: Uuid) {
    let began =
        async |system: &TestSystem| system.number("SELECT COALESCE(sum(pages), 0)::bigint FROM sync_runs").await > 2;
    while !began(system).await {
        tokio::task::yield_now().await;
    }
    for _ in 0..CHANGES {
        if system.job_state(job_id).await == "succeeded" {
            return;
        }
        system.sandbox.send(Method::POST, "live", Some(json!({"create": 2, "change": 9}))).await;
    }
}

#[tokio::test]
async fn moving_list_is_read_until_it_is_stable() {
    for (order, filter) in
        [("newest", "created"), ("newest", "modified"), ("oldest", "created"), ("oldest", "modified")]
    {
        let order = format!("payshack_order={order}");
        let filter = format!("payshack_date_filter={filter}");
        // One day with many payments, most of them of today and open, so that they change.
        let system =
            TestSystem::start(&["--history-days", "1", "--per-day", "10", "--switch", &order, "--switch", &filter])
                .await;
        system.sandbox.send(Method::POST, "live", Some(json!({"create": 1200}))).await;
        system.sandbox.send(Method::PUT, "faults", Some(json!({"latency-ms": 150}))).await;
        let _worker = system.start_jobs(&["worker"]);
        let before = provider_ids(&system).await;
        let job_id = system.enqueue("sync-payshack", None);
        change_during(&system, job_id).await;
        system.wait_until_idle().await;
        let missed: Vec<_> = before.difference(&stored_ids(&system).await).cloned().collect();
        assert!(missed.is_empty(), "{order} {filter}: {} of {} were skipped", missed.len(), before.len());
        let rounds = system.number("SELECT pages FROM sync_runs WHERE source = 'payshack' LIMIT 1").await;
        assert!(rounds > 13, "{order} {filter}: the list did not move");
        system.sync_both().await;
        assert_matches_sandbox(&system).await;
    }
}
