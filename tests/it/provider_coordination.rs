//! What processes share about a provider: one session, one login at a time, no login after a refusal, and the rate limit. All
//! of it without Redis.

use std::time::Duration;

use futures_util::future::join_all;
use psp_dashboard::db::providers::request_slots::{pause, reserve};
use serde_json::json;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::private_servers::PrivateRedis;
use crate::harness::servers::Servers;
use crate::harness::test_system::{OPERATOR, TestSystem};
use crate::harness::{eventually, http_client};

const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);

async fn accepted_logins(system: &TestSystem) -> i64 {
    system.sandbox.get("requests").await["logins"]["accepted"].as_i64().expect("a count")
}

/// Redis is stopped before the workers start: only wake-ups and live events are missing.
#[tokio::test]
async fn both_sources_sync_with_one_login_while_redis_is_down() {
    let mut redis = PrivateRedis::start().await;
    let arguments = ["--switch", "payshack_single_session=true"];
    let system = TestSystem::start_on(Servers::with_redis(&redis).await, &arguments).await;
    let web = system.start_web().await;
    redis.stop();
    let _workers = [system.start_jobs(&["worker"]), system.start_jobs(&["worker"]), system.start_jobs(&["worker"])];
    eventually("the workers to be alive", || async {
        (system.number("SELECT count(*) FROM processes").await == 3).then_some(())
    })
    .await;
    let headers = [("x-api-key", OPERATOR), ("content-type", "application/json")];
    for mode in ["incremental", "full", "incremental"] {
        system.sandbox.create_and_change(10, 10).await;
        let body = json!({"mode": mode}).to_string();
        let triggered = web.post_with("/api/v1/sync/trigger", &headers, &body).await;
        assert_eq!(triggered.status, 202, "{triggered:?}");
        system.wait_until_idle().await;
    }
    assert_matches_sandbox(&system).await;
    assert_eq!(accepted_logins(&system).await, 1, "one session for all workers");
    assert_eq!(system.number("SELECT max(attempt)::bigint FROM jobs").await, 1, "an outage costs no attempt");
}

#[tokio::test]
async fn corrected_credentials_log_in_at_once() {
    let system = TestSystem::start(&[]).await;
    let pause = ("PAYSHACK_LOGIN_PAUSE_SECONDS", "3600");
    let wrong = system.start_jobs_with(&["worker"], &[("PAYSHACK_PASSWORD", "wrong"), pause]);
    let refused = system.try_run_job("sync-payshack", None);
    assert!(!refused.status.success() && refused.stderr.contains("credentials"), "{refused:?}");
    drop(wrong);
    let _right = system.start_jobs_with(&["worker"], &[pause]);
    system.run_job("sync-payshack", None);
    let secrets = "SELECT count(*) FROM refused_logins WHERE refused_logins::text LIKE '%wrong%'";
    assert_eq!(system.number(secrets).await, 0, "a digest is remembered, not the password");
}

#[tokio::test]
async fn job_that_meets_the_login_pause_waits_for_its_end() {
    let system = TestSystem::start(&["--fault", "login-refused=1"]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("PAYSHACK_LOGIN_PAUSE_SECONDS", "4")]);
    let refused = system.try_run_job("sync-payshack-metadata", None);
    assert!(!refused.status.success() && refused.stderr.contains("credentials"), "{refused:?}");
    system.sandbox.replace_faults(json!({})).await;
    let jobs = ["sync-payshack-metadata", "sync-payshack"].map(|kind| system.enqueue(kind, None));
    for job in jobs {
        eventually("the job to succeed after the pause", || async {
            let state = system.job_state(job).await;
            assert_ne!(state, "failed", "it waits instead of failing");
            (state == "succeeded").then_some(())
        })
        .await;
    }
    let logins = &system.sandbox.get("requests").await["logins"];
    assert_eq!(*logins, json!({"accepted": 1, "refused": 1}), "none during the pause");
}

/// PayShack may report an expired session with status 200 and words that do not say so.
#[tokio::test]
async fn failure_with_an_older_session_causes_one_login_and_no_failed_attempt() {
    let arguments = ["--switch", "payshack_single_session=true", "--switch", "payshack_refusal_status=200"];
    let system = TestSystem::start(&arguments).await;
    let _workers = [system.start_jobs(&["worker"]), system.start_jobs(&["worker"])];
    system.run_job("sync-payshack-metadata", None);
    // Another client of the account logs in, which ends the session of the workers.
    let url = format!("{}/payshack/indigate-user-svc/api/v1/auth/login", system.sandbox.url);
    let credentials = json!({"email": "reseller@example.com", "password": "sandbox-password"}).to_string();
    let login = http_client().post(url).header("content-type", "application/json").body(credentials).send().await;
    assert_eq!(login.expect("the sandbox responds").status(), 200);
    let older = sqlx::query!(
        r#"UPDATE provider_sessions SET session = jsonb_set(session::jsonb, '{created_at}',
                  to_jsonb((session->>'created_at')::timestamptz - interval '2 minutes'))::json"#
    );
    assert_eq!(older.execute(&system.pool).await.expect("the database responds").rows_affected(), 1);
    for kind in ["sync-payshack", "sync-payshack-metadata"] {
        system.enqueue(kind, None);
    }
    system.enqueue("sync-payshack", FULL);
    system.wait_until_idle().await;
    assert_eq!(accepted_logins(&system).await, 3, "one of the test, and one more of the workers");
    assert_eq!(system.number("SELECT count(*) FROM job_attempts WHERE outcome <> 'succeeded'").await, 0);
}

#[tokio::test]
async fn limited_requests_take_slots_and_unlimited_ones_cost_no_query() {
    let system = TestSystem::start(&["--history-days", "1", "--per-day", "30"]).await;
    let slots = "SELECT count(*) FROM request_slots";
    for (requests_per_second, interval_ms, expected) in [("0", "0", 0), ("100", "10", 2)] {
        let limits = [("VIMA_REQUESTS_PER_SECOND", requests_per_second), ("PAYSHACK_REQUEST_INTERVAL_MS", interval_ms)];
        let _worker = system.start_jobs_with(&["worker"], &limits);
        system.sync_both().await;
        assert_eq!(system.number(slots).await, expected);
    }
}

/// The slots are reserved one after another, for all processes, and a pause holds up everybody.
#[tokio::test]
async fn slots_are_apart_and_a_pause_postpones_them() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let apart = Duration::from_hours(1);
    let mut waits = join_all((0..4).map(|_| reserve(&pool, "vima", apart))).await;
    waits.sort_by_key(|wait| wait.as_ref().map_or(Duration::MAX, |wait| *wait));
    for (number, wait) in waits.into_iter().enumerate() {
        let wait = wait.expect("the database responds");
        let expected = apart * u32::try_from(number).expect("a few");
        assert!(wait <= expected && wait + Duration::from_mins(10) >= expected, "{number}: {wait:?}");
    }
    assert!(reserve(&pool, "payshack", apart).await.expect("a slot") < Duration::from_mins(10), "its own slots");
    pause(&pool, "payshack", apart * 9).await.expect("the database responds");
    let wait = reserve(&pool, "payshack", apart).await.expect("a slot");
    assert!(wait > apart * 8 && wait <= apart * 9, "{wait:?}");
}
