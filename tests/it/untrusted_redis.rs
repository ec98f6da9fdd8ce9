//! An attacker who can write to Redis invents no event, no ticket and no job, and stops nothing for good.

use psp_dashboard::redis::Redis;
use psp_dashboard::redis::queue::WakeupStorage;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::health::{wait_for_health, wait_for_problem};
use crate::harness::private_servers::PrivateRedis;
use crate::harness::programs::{Program, run};
use crate::harness::servers::Servers;
use crate::harness::socket::Socket;
use crate::harness::test_system::{TestSystem, VIEWER};

async fn publish(redis: &Redis, channel: &str, message: &[u8]) {
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(redis.key(channel)).arg(message);
    publish.exec_async(&mut redis.connection()).await.expect("Redis is running");
}

/// Replaces every key by one of another type.
async fn replace_keys_by_garbage(redis: &Redis) -> usize {
    let mut connection = redis.connection();
    let pattern = redis.key("*");
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.expect("keys");
    for key in &keys {
        let kind: String = redis::cmd("TYPE").arg(key).query_async(&mut connection).await.expect("a type");
        let command = if kind == "string" { "LPUSH" } else { "SET" };
        let garbage = b"\xff\xfe{\"id\":}".as_slice();
        let mut replace = redis::pipe();
        replace.del(key).ignore().cmd(command).arg(key).arg(garbage).ignore();
        replace.exec_async(&mut connection).await.expect("Redis is running");
    }
    keys.len()
}

#[tokio::test]
async fn forged_events_tickets_and_wakeups_are_not_believed() {
    let system = TestSystem::start(&["--history-days", "1"]).await;
    let redis = system.servers.redis().await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    socket.receive("connected").await;
    let jobs = "SELECT count(*) FROM jobs";
    let jobs_before = system.number(jobs).await;

    let forged = |id: i64| {
        let job_id = Uuid::new_v4();
        json!({"id": id, "timestamp": "2026-01-15T10:00:00Z", "type": "job_failed", "kind": "export", "job_id": job_id,
               "error": "forged"})
    };
    for id in [1, 2, 1_000, i64::MAX, i64::MIN] {
        publish(&redis, "events", forged(id).to_string().as_bytes()).await;
    }
    for garbage in [b"".as_slice(), b"\xff", b"[[[[[[", b"{\"id\":1e400}", b"null", &vec![b'['; 100_000]] {
        publish(&redis, "events", garbage).await;
        publish(&redis, "wakeup:sync", garbage).await;
    }
    for queue in ["sync", "maintenance"] {
        let mut wakeups: WakeupStorage = redis.wakeups(queue);
        for message in [json!(Uuid::new_v4()), json!({"kind": "housekeeping", "args": {}}), Value::Null] {
            apalis_core::backend::TaskSink::push(&mut wakeups, message).await.expect("Redis is running");
        }
    }
    let admin = json!({"key_id": Uuid::nil(), "name": "ada", "role": "admin", "scope": null}).to_string();
    for (ticket, holder) in [("0".repeat(64), admin.as_str()), ("1".repeat(64), "\u{0}garbage")] {
        let key = redis.key(&format!("ticket:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&ticket))));
        let mut set = redis::cmd("SET");
        set.arg(key).arg(holder).exec_async(&mut redis.connection()).await.expect("Redis is running");
        let refused = Socket::refused_status(&format!("{}?ticket={ticket}", web.socket())).await;
        assert_eq!(refused, 401, "{holder}");
    }

    system.run_job("sync-vima", None);
    let completed = socket.receive("sync_completed").await;
    let newest = system.number("SELECT max(id) FROM events").await;
    assert!(completed["id"].as_i64().is_some_and(|id| (1..=newest).contains(&id)), "{completed}");
    assert!(!format!("{:?}", socket.received).contains("forged"), "{:?}", socket.received);
    let enqueued = system.number("SELECT count(*) FROM jobs WHERE kind LIKE 'sync-vima%'").await;
    assert_eq!(system.number(jobs).await, jobs_before + enqueued, "no job was made of a message");
}

#[tokio::test]
async fn garbage_in_every_key_stops_nothing_for_good() {
    let redis_server = PrivateRedis::start().await;
    let system = TestSystem::start_on(Servers::with_redis(&redis_server).await, &["--history-days", "1"]).await;
    let redis = system.servers.redis().await;
    let (web, _worker) = (system.start_web().await, system.start_jobs(&["worker", "--scheduler"]));
    wait_for_health(&web, 200, "healthy").await;
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    assert!(replace_keys_by_garbage(&redis).await > 0);
    // Jobs are found by polling, events by reading the table.
    system.run_job("housekeeping", None);
    system.run_job("sync-vima", None);
    socket.receive("sync_completed").await;
    wait_for_health(&web, 200, "healthy").await;
    let ticket = web.request(Method::POST, "/api/v1/ws/ticket", Some(VIEWER), None).await.expect("a response");
    assert_eq!(ticket.status, 200, "{}", ticket.text);
    assert!(!web.program.output().contains("panicked"));
    system.assert_no_attempt_was_used_up().await;
}

#[tokio::test]
async fn two_installations_with_one_namespace_are_noticed() {
    let (first, second) = (TestSystem::start(&[]).await, TestSystem::start(&[]).await);
    let web = first.start_web().await;
    let shared = [("REDIS_NAMESPACE", first.servers.namespace.as_str())];
    let namespace = shared.map(|(name, value)| (name, value.to_owned()));
    let checked = run(Program::Psp, &["check"], second.settings().into_iter().chain(namespace.clone()));
    assert!(!checked.status.success() && checked.stdout.contains("FAIL  redis: another installation"), "{checked:?}");
    assert!(checked.stdout.contains("REDIS_NAMESPACE"), "{checked:?}");
    // A process of the second installation is not ready, and says why; the first one works.
    let other = second.spawn_web(&shared);
    wait_for_problem(&other, 200, "REDIS_NAMESPACE").await;
    let own = run(Program::Psp, &["check"], first.settings());
    assert!(own.stdout.contains("ok    redis: reachable"), "{own:?}");
    let ready = web.request(Method::GET, "/health/ready", None, None).await.expect("a response");
    assert_eq!(ready.status, 200, "{}", ready.text);
}
