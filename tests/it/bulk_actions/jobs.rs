//! Jobs are retried and cancelled in bulk.

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{Fixture, PREVIEW_JOBS};
use crate::harness::test_system::{OPERATOR, items};

/// Inserts `count` jobs of a kind that no worker of the test claims, because they are due tomorrow.
fn insert(kind: &str, state: &str, count: u32) -> String {
    format!(
        "INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at)
         SELECT gen_random_uuid(), '{kind}', jsonb_build_object('number', number), 'reports', 10, '{state}', 'api',
                now() + interval '1 day', 1, now(), CASE WHEN '{state}' IN ('failed', 'cancelled', 'succeeded') THEN now() END
           FROM generate_series(1, {count}) AS number"
    )
}

#[tokio::test]
async fn failed_jobs_are_retried_in_bulk() {
    let fixture = Fixture::start(0).await;
    for (kind, state, count) in [
        ("deliver-report", "failed", 230),
        ("deliver-report", "succeeded", 20),
        ("of-tomorrow", "failed", 1),
        ("deliver-report", "cancelled", 3),
    ] {
        fixture.execute(&insert(kind, state, count)).await;
    }
    fixture.execute("INSERT INTO queue_pauses (queue, paused_at, paused_by) VALUES ('reports', now(), 'ada')").await;
    let body = json!({"action": "retry", "filter": {"state": ["failed", "succeeded"]}});
    let preview = fixture.preview(OPERATOR, PREVIEW_JOBS, &body).await;
    assert_eq!(preview["count"], 231, "succeeded jobs are not retried: {preview}");
    let samples = preview["samples"].as_array().expect("samples");
    assert!(samples.len() == 10 && samples.iter().all(|job| job["state"] == "failed"), "{preview}");
    let _worker = fixture.system.start_jobs(&["worker"]);
    let path = fixture.confirm(OPERATOR, &preview).await;
    let finished = fixture.wait_for(&path, "finished").await;
    assert_eq!((&finished["applied"], &finished["skipped"]), (&json!(230), &json!(1)), "{finished}");
    let skipped = fixture.web.get(&format!("{path}/skipped")).await;
    let [unknown] = items(&skipped).as_slice() else { panic!("{skipped}") };
    assert_eq!(unknown["reason"], "refused");
    assert!(unknown["detail"].as_str().is_some_and(|detail| detail.contains("of-tomorrow")), "{unknown}");
    let retried = "SELECT count(DISTINCT args) FROM jobs WHERE kind = 'deliver-report' AND trigger = 'retry'
                      AND requested_by = 'otto' AND state = 'queued'";
    assert_eq!(fixture.system.number(retried).await, 230);
    assert_eq!(fixture.system.number("SELECT count(*) FROM jobs WHERE trigger = 'retry'").await, 230);
}

#[tokio::test]
async fn waiting_jobs_are_cancelled_in_bulk_unless_they_have_been_claimed_since() {
    let fixture = Fixture::start(0).await;
    for state in ["scheduled", "failed"] {
        fixture.execute(&insert("deliver-report", state, 120)).await;
    }
    let body = json!({"action": "cancel", "filter": {"kind": "deliver-report"}});
    let preview = fixture.preview(OPERATOR, PREVIEW_JOBS, &body).await;
    assert_eq!(preview["count"], 120, "{preview}");
    // One was claimed and failed once, one was deleted.
    fixture.execute(
        "UPDATE jobs SET state = 'retrying', epoch = 1 WHERE id = (SELECT min(id::text)::uuid FROM jobs WHERE state = 'scheduled');
         DELETE FROM jobs WHERE id = (SELECT max(id::text)::uuid FROM jobs WHERE state = 'scheduled')",
    )
    .await;
    let _worker = fixture.system.start_jobs(&["worker"]);
    let path = fixture.confirm(OPERATOR, &preview).await;
    let finished = fixture.wait_for(&path, "finished").await;
    assert_eq!((&finished["applied"], &finished["skipped"]), (&json!(118), &json!(2)), "{finished}");
    let mut reasons: Vec<String> = fixture.skipped(&path).await.into_iter().map(|(_, reason)| reason).collect();
    reasons.sort();
    assert_eq!(reasons, ["changed", "gone"]);
    let cancelled = "SELECT count(*) FROM jobs WHERE state = 'cancelled' AND error = 'cancelled by otto'";
    assert_eq!(fixture.system.number(cancelled).await, 118);
    assert_eq!(fixture.system.number("SELECT count(*) FROM jobs WHERE state = 'retrying'").await, 1);
}

#[tokio::test]
async fn invalid_previews_are_refused() {
    let fixture = Fixture::start(1).await;
    let discrepancies = super::fixture::PREVIEW_DISCREPANCIES;
    for (path, body, message) in [
        (PREVIEW_JOBS, json!({"action": "retry"}), "filter: must have at least one condition"),
        (PREVIEW_JOBS, json!({"action": "retry", "filter": {}}), "filter: must have at least one condition"),
        (PREVIEW_JOBS, json!({"action": "retry", "filter": {"state": []}}), "filter: must have at least one condition"),
        (PREVIEW_JOBS, json!({"action": "retry", "filter": "state=failed"}), "filter: must be an object"),
        (PREVIEW_JOBS, json!({"action": "retry", "filter": {"sate": "failed"}}), "filter.sate: is not known here"),
        (PREVIEW_JOBS, json!({"action": "retry", "filter": {"state": "lost"}}), "filter.state: must be one of queued"),
        (
            PREVIEW_JOBS,
            json!({"action": "pause", "filter": {"state": "failed"}}),
            "action: must be one of retry, cancel",
        ),
        (PREVIEW_JOBS, json!({"filter": {"state": "failed"}}), "action: is required"),
        (discrepancies, json!({"state": "resolved"}), "filter: must have at least one condition"),
        (discrepancies, json!({"filter": {"state": "open"}}), "set at least one of state, assignee, note"),
        (discrepancies, json!({"filter": {"state": "open"}, "state": "auto_resolved"}), "state: must be one of open"),
        (discrepancies, json!({"filter": {"min_diff": "much"}, "note": "so"}), "filter.min_diff"),
    ] {
        let refused = fixture.send(OPERATOR, Method::POST, path, &body).await;
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        let detail: Value = refused.json()["detail"].clone();
        assert!(detail.as_str().is_some_and(|detail| detail.contains(message)), "{body}: {detail}");
    }
    assert_eq!(fixture.system.number("SELECT count(*) FROM bulk_actions").await, 0);
}
