//! Whose items a bulk action changes, who sees it, and that it ends with its key.

use reqwest::Method;
use serde_json::json;

use super::fixture::{BULK_ACTIONS, Fixture, PREVIEW_DISCREPANCIES, PREVIEW_JOBS};
use crate::harness::eventually;
use crate::harness::keys::create_key;
use crate::harness::test_system::{ADMIN, OPERATOR, VIEWER, items};

impl Fixture {
    /// Creates an operator's key for a project, and waits until the web process knows it.
    async fn scoped_key(&self, project: &str) -> String {
        let key = create_key(&self.system, "operator", &[project]);
        eventually("the key to be known", || async {
            let listed = self.web.request(Method::GET, BULK_ACTIONS, Some(&key), None).await.expect("a response");
            (listed.status == 200).then_some(())
        })
        .await;
        key
    }
}

#[tokio::test]
async fn scoped_key_changes_and_sees_only_what_is_in_its_projects() {
    let fixture = Fixture::start(600).await;
    fixture.execute("UPDATE discrepancies SET project = 'zenith' WHERE key LIKE 'order-%5'").await;
    // A discrepancy is visible only if its payments are.
    fixture.execute(
        "INSERT INTO transactions (id, source, kind, source_id, content_hash, amount, currency, status, project, created_at, ingested_at,
                                   raw_data)
         SELECT payment, source, 'payin', payment::text, '\\x00', 100, 'INR', 'success', project, now(), now(), '{}'
           FROM discrepancies, LATERAL (VALUES ('vima', vima_txn_id), ('payshack', payshack_txn_id)) AS side (source, payment)",
    )
    .await;
    let (own, other) = (fixture.scoped_key("91game").await, fixture.scoped_key("zenith").await);
    let body = json!({"filter": {"state": "open"}, "state": "acknowledged"});
    let preview = fixture.preview(&own, PREVIEW_DISCREPANCIES, &body).await;
    assert_eq!(preview["count"], 540, "{preview}");
    assert!(!preview.to_string().contains("zenith"), "{preview}");
    for (body, key) in [
        (json!({"filter": {"project": "zenith"}, "note": "mine"}), own.as_str()),
        (json!({"filter": {"state": "open"}, "note": "mine"}), VIEWER),
    ] {
        assert_eq!(fixture.send(key, Method::POST, PREVIEW_DISCREPANCIES, &body).await.status, 403, "{body}");
    }
    let jobs = json!({"action": "retry", "filter": {"state": "failed"}});
    assert_eq!(fixture.send(&own, Method::POST, PREVIEW_JOBS, &jobs).await.status, 403, "jobs are of all projects");
    assert_eq!(fixture.try_confirm(&other, &preview).await.status, 404);

    // A payment that moves to another project takes its discrepancy out of the scope, without a change of it.
    fixture
        .execute(
            "UPDATE transactions SET project = 'zenith'
          WHERE id = (SELECT vima_txn_id FROM discrepancies WHERE project = '91game' ORDER BY id LIMIT 1)",
        )
        .await;
    let _worker = fixture.system.start_jobs(&["worker"]);
    let path = fixture.confirm(&own, &preview).await;
    let finished = fixture.wait_for(&path, "finished").await;
    assert_eq!((&finished["applied"], &finished["skipped"]), (&json!(539), &json!(1)), "{finished}");
    assert_eq!(fixture.skipped(&path).await[0].1, "gone");
    let moved = "SELECT count(*) FROM discrepancies WHERE project = 'zenith' AND state <> 'open'";
    assert_eq!(fixture.system.number(moved).await, 0);
    for (key, status, listed) in [(own.as_str(), 200, 1), (other.as_str(), 404, 0), (OPERATOR, 200, 1)] {
        for path in [path.clone(), format!("{path}/skipped")] {
            let response = fixture.web.request(Method::GET, &path, Some(key), None).await.expect("a response");
            assert_eq!(response.status, status, "{path}: {response:?}");
        }
        let page = fixture.web.request(Method::GET, BULK_ACTIONS, Some(key), None).await.expect("a response").json();
        assert_eq!((items(&page).len(), &page["total"]), (listed, &json!(listed)), "{page}");
    }
    assert_eq!(fixture.send(&other, Method::POST, &format!("{path}/stop"), &json!({})).await.status, 404);
}

#[tokio::test]
async fn bulk_action_stops_when_its_key_is_revoked() {
    let fixture = Fixture::start(1_500).await;
    let key = fixture.scoped_key("91game").await;
    let _worker = fixture.system.start_jobs(&["worker"]);
    let locked = fixture.lock_discrepancy(700).await;
    let path = fixture.acknowledge_open(&key).await;
    fixture.wait_until_blocked().await;
    let keys = fixture.web.get("/api/v1/api-keys").await;
    let issued = items(&keys).iter().find(|key| key["origin"] == "issued").expect("the key");
    let revoke = format!("/api/v1/api-keys/{}", issued["id"].as_str().expect("an id"));
    assert_eq!(fixture.send(ADMIN, Method::DELETE, &revoke, &json!({})).await.status, 200);
    locked.rollback().await.expect("the database responds");
    let failed = fixture.wait_for(&path, "failed").await;
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("key revoked")), "{failed}");
    assert_eq!(
        (&failed["applied"], &failed["remaining"]),
        (&json!(500), &json!(1_000)),
        "not even the batch that had begun"
    );
}
