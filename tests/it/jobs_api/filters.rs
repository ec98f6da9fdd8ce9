//! Jobs are filtered by time, error, arguments and attempts, and sorted.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use super::{JobsApi, ids};
use crate::harness::test_system::{OPERATOR, VIEWER};

/// Jobs whose ids end with their number, one per hour. 1 succeeded after a retry, 2 failed, 3 was cancelled before it started, 4 lost
/// its worker and runs, 5 waits.
const SEED: &str = r#"
    INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, started_at, finished_at,
                      error, epoch)
    SELECT format('00000000-0000-0000-0000-00000000000%s', number)::uuid, kind, args::jsonb, 'sync', 10, state, 'api', now(), 8,
           timestamptz '2026-01-15T10:00:00Z' + number * interval '1 hour', started::timestamptz, finished::timestamptz, error, 2
      FROM (VALUES
          (1, 'sync-vima', '{"mode": "incremental"}', 'succeeded', '2026-01-16T05:00:00Z', '2026-01-16T09:00:00Z', NULL),
          (2, 'sync-vima', '{"mode": "full"}', 'failed', '2026-01-16T04:00:00Z', '2026-01-16T08:00:00Z', 'vima answered 503 100%'),
          (3, 'reconcile', '{"date": "2026-01-14", "force": true}', 'cancelled', NULL, '2026-01-16T07:00:00Z', 'cancelled by Otto'),
          (4, 'sync-payshack', '{}', 'running', '2026-01-16T03:00:00Z', NULL, NULL),
          (5, 'reconcile', '{"date": "2026-01-15"}', 'queued', NULL, NULL, NULL))
          AS job (number, kind, args, state, started, finished, error);
    INSERT INTO job_leases (job_id, epoch, worker, expires_at)
    SELECT id, 2, 'w', now() + interval '1 hour' FROM jobs WHERE state = 'running';
    INSERT INTO job_attempts (job_id, epoch, attempt, worker, started_at, finished_at, outcome)
    SELECT jobs.id, attempt.epoch, 1, 'w', now(), now(), outcome
      FROM jobs JOIN (VALUES ('1', 1, 'retried'), ('1', 2, 'succeeded'), ('2', 2, 'failed'), ('4', 1, 'lost'), ('4', 2, NULL))
                    AS attempt (number, epoch, outcome) ON right(jobs.id::text, 1) = number"#;

async fn seeded() -> JobsApi {
    let api = JobsApi::start().await;
    api.system.pool.execute(SEED).await.expect("the database accepts it");
    api
}

/// The last digits of the ids.
fn numbers(page: &Value) -> String {
    ids(page).iter().filter_map(|id| id.chars().last()).collect()
}

async fn list(api: &JobsApi, query: &[(&str, &str)]) -> Value {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let path = format!("/api/v1/jobs?{query}");
    let response = api.web.request(Method::GET, &path, Some(OPERATOR), None).await.expect("the web process responds");
    assert_eq!(response.status, 200, "{path}: {response:?}");
    response.json()
}

#[tokio::test]
async fn filters_find_exactly_the_matching_jobs() {
    let api = seeded().await;
    for (query, expected) in [
        (&[("created_from", "2026-01-15T12:00:00Z"), ("created_until", "2026-01-15T14:00:00Z")][..], "32"),
        (&[("finished_from", "2026-01-16T08:00:00Z")], "21"),
        (&[("finished_until", "2026-01-16T08:00:00Z")], "3"),
        (&[("error", "ANSWERED 503")], "2"),
        (&[("error", "100%")], "2"),
        (&[("error", "vima_answered")], ""),
        (&[("error", "cancelled")], "3"),
        (&[("args", "{}")], "54321"),
        (&[("args", r#"{"mode":"incremental"}"#)], "1"),
        (&[("args", r#"{"mode":"full"}"#)], "2"),
        (&[("args", r#"{"date":"2026-01-14"}"#)], "3"),
        (&[("args", r#"{"force":true}"#)], "3"),
        (&[("args", r#"{"force":"true"}"#)], ""),
        (&[("attempt_outcome", "retried")], "1"),
        (&[("attempt_outcome", "succeeded")], "1"),
        (&[("attempt_outcome", "lost,failed")], "42"),
        (&[("attempt_outcome", "lost,succeeded")], "41"),
        (&[("attempt_outcome", "postponed")], ""),
        (&[("attempt_outcome", "lost"), ("state", "running"), ("kind", "sync-payshack")], "4"),
        (&[("error", "503"), ("state", "succeeded")], ""),
        (&[("kind", "reconcile"), ("created_from", "2026-01-15T15:00:00Z")], "5"),
    ] {
        let page = list(&api, query).await;
        assert_eq!((numbers(&page).as_str(), &page["total"]), (expected, &json!(expected.len())), "{query:?}");
    }
}

#[tokio::test]
async fn lists_are_sorted_and_cursors_follow_the_order() {
    let api = seeded().await;
    for (sort, expected) in [
        ("sort_by=created_at", "54321"),
        ("order=asc", "12345"),
        ("sort_by=started_at", "124"),
        ("sort_by=started_at&order=asc", "421"),
        ("sort_by=finished_at", "123"),
        ("sort_by=finished_at&order=asc&state=failed,cancelled", "32"),
    ] {
        let pages = api.web.pages(OPERATOR, &format!("/api/v1/jobs?{sort}&limit=1")).await;
        let listed: String = pages.iter().map(numbers).collect();
        assert_eq!((listed.as_str(), &pages[0]["total"]), (expected, &json!(expected.len())), "{sort}");
    }
    let first = api.web.get("/api/v1/jobs?sort_by=started_at&limit=1").await;
    let cursor = first["next_cursor"].as_str().expect("a next page");
    let other = format!("/api/v1/jobs?sort_by=finished_at&limit=1&cursor={cursor}");
    let response = api.web.request(Method::GET, &other, Some(OPERATOR), None).await.expect("the web process responds");
    assert_eq!(response.status, 422, "a cursor belongs to its order: {response:?}");
}

#[tokio::test]
async fn viewers_filter_by_nothing_that_they_see_masked() {
    let api = seeded().await;
    for (query, status) in [
        ("error=cancelled", 403),
        ("args=%7B%22mode%22:%22full%22%7D", 403),
        ("attempt_outcome=lost&sort_by=started_at&created_from=2026-01-15T12:00:00Z", 200),
        ("error=no", 422),
        ("args=full", 422),
        ("created_from=yesterday", 422),
        ("attempt_outcome=won", 422),
        ("sort_by=duration", 422),
    ] {
        let path = format!("/api/v1/jobs?{query}");
        let response = api.web.request(Method::GET, &path, Some(VIEWER), None).await.expect("the web process responds");
        assert_eq!(response.status, status, "{path}: {response:?}");
    }
}
