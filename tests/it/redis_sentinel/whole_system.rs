//! A failover under a whole system: what is wrong can be read meanwhile, and syncs, events, tickets and limits continue.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::busy_system::BusySystem;
use crate::harness::eventually;
use crate::harness::health::wait_for_health;
use crate::harness::private_servers::PrivateRedis;
use crate::harness::programs::{Program, run};
use crate::harness::sentinels::MonitoredRedis;
use crate::harness::servers::Servers;
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};

#[tokio::test]
async fn events_tickets_and_limits_continue_after_the_primary_was_killed() {
    let mut redis = MonitoredRedis::start().await;
    let system = TestSystem::start_on(Servers::with_sentinels(&redis).await, &[]).await;
    let web = system.start_web_with(&[("RATE_LIMIT_PER_KEY", "30")]).await;
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    socket.receive("connected").await;
    let _worker = system.start_jobs(&["worker"]);
    let _scheduler = system.start_jobs(&["scheduler"]);
    wait_for_health(&web, 200, "healthy").await;
    system.wait_until_first_sync().await;

    redis.servers[0].kill();
    let health = wait_for_health(&web, 200, "degraded").await;
    assert_eq!(health["services"], json!({"database": "ok", "redis": "down"}), "{health}");
    assert!(health["problems"][0].as_str().is_some_and(|problem| problem.contains("Redis")), "{health}");
    wait_for_health(&web, 200, "healthy").await;

    let primary = &redis.servers[1];
    assert_subscribed(primary, &system).await;
    let () = primary.command("CONFIG RESETSTAT").await;
    trigger_sync(&web).await;
    let ended = |message: &Value| message["type"] == "sync_completed" && message["source"] == "vima";
    socket.receive_where("the end of the sync", ended).await;
    assert!(primary.info("commandstats", "cmdstat_publish").await > 0, "announced through the new primary");

    let ticket = web.request(Method::POST, "/api/v1/ws/ticket", Some(ADMIN), None).await.expect("a response").json();
    let with_ticket = format!("{}?ticket={}", web.socket(), ticket["ticket"].as_str().expect("a ticket"));
    Socket::connect(&with_ticket).await.receive("connected").await;
    assert_eq!(Socket::refused_status(&with_ticket).await, 401, "the ticket is used up");
    assert_limited(&web).await;
    let counted: Vec<String> = primary.command(&format!("KEYS {}:rate:*", system.servers.namespace)).await;
    assert!(!counted.is_empty(), "requests are counted for all web processes");
    system.wait_until_idle().await;
    system.assert_no_attempt_was_used_up().await;
}

/// The web process is subscribed to events at this server.
async fn assert_subscribed(server: &PrivateRedis, system: &TestSystem) {
    let subscribers = format!("PUBSUB NUMSUB {}:events", system.servers.namespace);
    eventually("the web process to be subscribed to events", || async {
        let (_, count): (String, u64) = server.command(&subscribers).await;
        (count > 0).then_some(())
    })
    .await;
}

/// A caller with too many requests is refused.
async fn assert_limited(web: &Web) {
    for _ in 0..31 {
        let response = web.request(Method::GET, "/api/v1/me", Some(VIEWER), None).await.expect("a response");
        if response.status == 429 {
            return;
        }
    }
    panic!("31 requests were allowed");
}

async fn trigger_sync(web: &Web) {
    let body = json!({"source": "vima", "force": true}).to_string();
    let triggered = web.request(Method::POST, "/api/v1/sync/trigger", Some(OPERATOR), Some(&body)).await;
    assert_eq!(triggered.expect("the web process responds").status, 202);
}

#[tokio::test]
async fn syncs_lose_nothing_while_the_primary_hangs_and_another_is_promoted() {
    let redis = MonitoredRedis::start().await;
    let busy = BusySystem::start(Servers::with_sentinels(&redis).await).await;
    redis.servers[0].freeze();
    redis.wait_for_primary(1).await;
    busy.assert_recovers().await;
    redis.servers[0].unfreeze();
    trigger_sync(&busy.web).await;
    busy.assert_recovers().await;
}

#[tokio::test]
async fn servers_and_sentinels_are_reached_over_tls() {
    let redis = MonitoredRedis::start_with_tls().await;
    let system = TestSystem::start_on(Servers::with_sentinels(&redis).await, &[]).await;
    let refused = run(Program::Jobs, &["worker"], system.jobs_settings());
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("certificate") && refused.stderr.contains("REDIS_TLS_INSECURE"), "{refused:?}");

    let insecure = [("REDIS_TLS_INSECURE", "true")];
    let web = system.start_web_with(&insecure).await;
    let _worker = system.start_jobs_with(&["worker"], &insecure);
    let _scheduler = system.start_jobs_with(&["scheduler"], &insecure);
    wait_for_health(&web, 200, "healthy").await;
    redis.fail_over().await;
    redis.wait_for_primary(1).await;
    assert_subscribed(&redis.servers[1], &system).await;
    wait_for_health(&web, 200, "healthy").await;
}
