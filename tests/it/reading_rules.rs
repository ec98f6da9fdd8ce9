//! Rules that change: payments that are read again get what the newest rules make of them, as often as the rules change.

use serde_json::json;

use crate::harness::consistency::assert_rollups_match_transactions;
use crate::harness::test_system::TestSystem;

const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);

fn projects(name: &str) -> String {
    json!({"91G_TECH_PVT_LTD": name}).to_string()
}

async fn payments_of(system: &TestSystem, project: &str) -> i64 {
    let payments = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM transactions WHERE source = 'payshack' AND project = $1"#,
        project
    );
    payments.fetch_one(&system.pool).await.expect("the database responds")
}

#[tokio::test]
async fn every_correction_of_the_projects_reaches_stored_payments() {
    let system = TestSystem::start(&["--history-days", "2", "--per-day", "60"]).await;
    let worker = system.start_jobs_with(&["worker"], &[("PAYSHACK_PROJECTS", &projects("first"))]);
    system.sync_both().await;
    let all = payments_of(&system, "first").await;
    assert!(all > 50, "{all}");
    drop(worker);
    let replaced =
        "SELECT replaced FROM sync_runs WHERE source = 'payshack' AND mode = 'full' ORDER BY started_at DESC LIMIT 1";
    for name in ["second", "third", "first", "second"] {
        let _worker = system.start_jobs_with(&["worker"], &[("PAYSHACK_PROJECTS", &projects(name))]);
        for expected in [all, 0] {
            system.run_job("sync-payshack", FULL);
            assert_eq!((payments_of(&system, name).await, system.number(replaced).await), (all, expected), "{name}");
        }
        assert_rollups_match_transactions(&system).await;
    }
    // During a deployment: a worker with the former setting goes on after one with the new setting has begun.
    let _former = system.start_jobs_with(&["worker"], &[("PAYSHACK_PROJECTS", &projects("second"))]);
    system.run_job("sync-vima", None);
    let newest = system.start_jobs_with(&["worker"], &[("PAYSHACK_PROJECTS", &projects("third"))]);
    crate::harness::eventually("the newest worker to have registered its rules", || async {
        let generations = "SELECT max(generation) FROM rules_generations WHERE source = 'payshack'";
        (system.number(generations).await == 6).then_some(())
    })
    .await;
    drop(newest);
    sqlx::query!(
        "UPDATE transactions SET project = 'third', content_hash = '\\x00112233445566778899aabbccddeeff',
                rules_generation = (SELECT max(generation) FROM rules_generations)
          WHERE source = 'payshack' AND project = 'second'"
    )
    .execute(&system.pool)
    .await
    .expect("the newest worker could have written this");
    system.run_job("sync-payshack", FULL);
    assert_eq!(payments_of(&system, "third").await, all, "the former setting does not undo the new one");
}
