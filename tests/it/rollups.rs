//! The rollup cells are recomputed and repaired after manual writes, while syncs run.

use sqlx::Executor;

use crate::harness::consistency::{assert_matches_sandbox, assert_rollups_match_transactions};
use crate::harness::programs::{Output, Program, run};
use crate::harness::test_system::TestSystem;

fn check(system: &TestSystem) -> Output {
    run(Program::Psp, &["check", "--rollups"], system.settings())
}

#[tokio::test]
async fn wrong_rollup_cells_are_found_and_repaired_during_syncs() {
    let system = TestSystem::start(&["--live-per-second", "20"]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let sound = check(&system);
    assert!(sound.stdout.contains("ok    metrics: the rollups from "), "{sound:?}");

    // An extra cell, missing cells, wrong cells, and a payment that was not counted.
    for wrong in [
        "INSERT INTO metric_cells SELECT facet, width, 'nobody', member, bucket, source, kind, currency, status, 1, 5, 5, 0, 0, 0
           FROM metric_cells WHERE facet = 'project' AND width = 'hour' LIMIT 1",
        "DELETE FROM metric_cells WHERE facet = 'all' AND width = 'day' AND source = 'vima'",
        "UPDATE metric_cells SET amount = amount + 0.01 WHERE facet = 'merchant' AND source = 'payshack'",
        "UPDATE transactions SET status = 'unknown' WHERE id = (SELECT id FROM transactions WHERE status = 'success' LIMIT 1)",
    ] {
        let done = system.pool.execute(wrong).await.expect("a hand that writes");
        assert!(done.rows_affected() > 0, "{wrong}");
    }
    let unsound = check(&system);
    assert_eq!(unsound.status.code(), Some(1), "{unsound:?}");
    assert!(unsound.stdout.contains("run psp-jobs enqueue rebuild-rollups"), "{unsound:?}");

    let rebuild = system.enqueue("rebuild-rollups", None);
    system.sync_both().await;
    assert_eq!(system.job_state(rebuild).await, "succeeded");
    assert_rollups_match_transactions(&system).await;
    assert_eq!(check(&system).stdout.matches("FAIL  metrics").count(), 0);

    // If nothing is wrong, nothing is written.
    let written = "SELECT sum(xmin::text::bigint)::bigint FROM metric_cells";
    let before = system.number(written).await;
    system.run_job("rebuild-rollups", None);
    assert_eq!(system.number(written).await, before);

    // Packed days are checked and repaired too: a wrong one is no longer read, and housekeeping packs it again.
    let current = "SELECT count(*) FROM packed_days AS packed JOIN payment_day_versions AS changed USING (source, day)
                    WHERE packed.version >= changed.version AND day = (now() AT TIME ZONE 'UTC')::date - 2";
    system.run_job("housekeeping", None);
    assert_eq!(system.number(current).await, 2);
    system
        .pool
        .execute("DELETE FROM packed_cells WHERE facet = 'country' AND source = 'vima'")
        .await
        .expect("a hand that writes");
    let unsound = check(&system);
    assert!(unsound.stdout.contains("packed rows of vima on "), "{unsound:?}");
    system.run_job("rebuild-rollups", None);
    assert_eq!(system.number(current).await, 1);
    system.run_job("housekeeping", None);
    assert_eq!(system.number(current).await, 2);
    assert_eq!(check(&system).stdout.matches("FAIL  metrics").count(), 0);
}

#[tokio::test]
async fn empty_installation_has_no_rollups_to_check() {
    let system = TestSystem::start(&[]).await;
    assert!(check(&system).stdout.contains("ok    metrics: there are no transactions"));
    let _worker = system.start_jobs(&["worker"]);
    system.run_job("rebuild-rollups", None);
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}
