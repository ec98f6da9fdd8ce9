//! The versions of a payment and the runs that stored them.

use chrono::{DateTime, TimeDelta};
use psp_dashboard::db::transactions::versions;
use psp_dashboard::domain::explanation::versions::{ChangedPart, PaymentVersion, StoringRun};
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::transaction::{Kind, Source, Transaction};
use psp_dashboard::domain::version::{SequenceId, Version};
use psp_dashboard::operations::ingest_page::Checkpoint;
use uuid::Uuid;

use super::fixture::explanation_path;
use crate::harness::ingest_fixture::{IngestFixture, minimal_transaction};
use crate::harness::test_system::TestSystem;

/// The `number`th version of a payment.
fn version(number: u128, change: impl FnOnce(&mut Transaction)) -> Vec<Record> {
    let created_at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let mut payment = minimal_transaction((Source::Vima, Kind::Payin), "1042".to_owned(), created_at);
    payment.status = Status::Pending;
    payment.version = Version { sequence: Some(SequenceId(number)), modified_at: None };
    change(&mut payment);
    vec![Record::Payment(Box::new(payment))]
}

async fn stored_versions(fixture: &IngestFixture) -> Vec<PaymentVersion> {
    let id: Uuid =
        sqlx::query_scalar!("SELECT id FROM transactions").fetch_one(&fixture.pool).await.expect("the payment");
    let mut connection = fixture.pool.acquire().await.expect("a connection");
    versions::list(&mut connection, id).await.expect("the versions")
}

#[tokio::test]
async fn each_version_names_its_run_and_what_it_changed() {
    use ChangedPart::{Amount, First, OtherFields, Status as ChangedStatus};
    let fixture = IngestFixture::start().await;
    let run: Uuid = sqlx::query_scalar!("SELECT id FROM sync_runs").fetch_one(&fixture.pool).await.expect("the run");
    let utr = |payment: &mut Transaction| payment.utr = Some("402211334455".to_owned());
    let success = |payment: &mut Transaction| {
        utr(payment);
        payment.status = Status::Success;
        payment.amount = 5.into();
    };
    for (records, expected) in [
        (version(1, |_| ()), vec![vec![First]]),
        (version(1, |_| ()), vec![vec![First]]),
        (version(2, utr), vec![vec![First], vec![OtherFields]]),
        (version(3, success), vec![vec![First], vec![ChangedStatus, Amount]]),
    ] {
        fixture.ingest(records, Checkpoint::None).await.expect("the page is stored");
        let versions = stored_versions(&fixture).await;
        let changes: Vec<_> = versions.iter().map(|version| version.change.parts()).collect();
        assert_eq!(changes, expected);
        for version in &versions {
            assert!(matches!(version.run, StoringRun::Known { id, .. } if id == run), "{version:?}");
        }
    }
    sqlx::query!("DELETE FROM sync_runs").execute(&fixture.pool).await.expect("the database accepts it");
    for version in stored_versions(&fixture).await {
        assert_eq!(version.run, StoringRun::Deleted { id: run });
    }
    // As an older release would have stored it.
    sqlx::query!("UPDATE transactions SET first_run_id = NULL, last_run_id = NULL, last_stored_at = NULL")
        .execute(&fixture.pool)
        .await
        .expect("the database accepts it");
    assert_eq!(stored_versions(&fixture).await[0].run, StoringRun::Unknown);
}

#[tokio::test]
async fn versions_are_explained_with_their_runs() {
    let system = TestSystem::start(&["--per-day", "0"]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sandbox.create_and_change(5, 0).await;
    system.sync_both().await;
    system.sandbox.create_and_change(0, 5).await;
    system.run_job("sync-vima", None);
    let web = system.start_web().await;
    let changed = sqlx::query!("SELECT transaction_id, run_id FROM transaction_changes ORDER BY id LIMIT 1");
    let changed = changed.fetch_one(&system.pool).await.expect("a payment that has changed");
    let explanation = web.get(&explanation_path(changed.transaction_id)).await;
    let versions = explanation["versions"].as_array().expect("a list");
    let [first, second] = versions.as_slice() else { panic!("two versions: {explanation}") };
    assert_eq!((&first["changed"][0], &second["changed"][0]), (&"first".into(), &"status".into()), "{explanation}");
    assert_eq!(second["run"]["id"].as_str(), changed.run_id.map(|id| id.to_string()).as_deref(), "{explanation}");
    assert!(first["run"]["id"] != second["run"]["id"] && first["run"]["started_at"].is_string(), "{explanation}");
    assert_eq!((&second["run"]["mode"], &second["run"]["trigger"]), (&"incremental".into(), &"cli".into()));
    assert!(second["old_status"] != second["new_status"], "{explanation}");
}
