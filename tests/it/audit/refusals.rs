//! Refused requests leave entries, but not as many as an attacker wants.

use reqwest::Method;
use serde_json::json;

use crate::harness::eventually;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, items};

#[tokio::test]
async fn refused_requests_are_audited_without_the_key_and_not_without_limit() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let post = |path: &'static str, key| web.request(Method::POST, path, key, None);
    for (key, expected) in [(Some(OPERATOR), 403), (None, 401)] {
        assert_eq!(post("/api/v1/queues/fx/pause", key).await.expect("a response").status, expected);
    }
    // What everyone tries is not worth an entry: no key at all, or too small a role, for an operation that only reads.
    for (key, expected) in [(Some(VIEWER), 403), (None, 401)] {
        let response = web.request(Method::GET, "/api/v1/audit", key, None).await;
        assert_eq!(response.expect("a response").status, expected);
    }
    for _ in 0..40 {
        let response = web.request(Method::GET, "/api/v1/me", Some("psp_not-a-key"), None).await;
        assert_eq!(response.expect("a response").status, 401);
    }
    let entries = eventually("the refused requests to be recorded", || async {
        let page = web.get("/api/v1/audit?outcome=refused&limit=100").await;
        (items(&page).len() >= 10).then_some(page)
    })
    .await;
    // Ten a minute, of at most two minutes, each with a summary.
    assert!(items(&entries).len() <= 22, "{entries}");
    assert!(!entries.to_string().contains("not-a-key"), "{entries}");
    let pauses: Vec<_> = items(&entries).iter().filter(|entry| entry["operation"] == "pauseQueue").collect();
    let callers: Vec<_> = pauses.iter().map(|entry| (&entry["principal"], &entry["details"]["status"])).collect();
    assert!(callers.contains(&(&json!("otto"), &json!(403))), "{callers:?}");
    assert!(callers.contains(&(&json!("unknown"), &json!(401))), "{callers:?}");
    assert!(items(&entries).iter().all(|entry| entry["operation"] != "listAuditEntries"), "{entries}");
    assert_eq!(web.request(Method::GET, "/api/v1/me", Some(ADMIN), None).await.expect("a response").status, 200);
}
