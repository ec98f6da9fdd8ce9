//! A primary becomes a read-only standby, and its address leads to another server: connections are replaced, health and API
//! say what is wrong, no attempt is used up, and work resumes by itself.

use redis::FromRedisValue;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::harness::busy_system::BusySystem;
use crate::harness::eventually;
use crate::harness::health::{wait_for_health, wait_for_problem};
use crate::harness::private_servers::PrivateRedis;
use crate::harness::servers::Servers;
use crate::harness::socket::Socket;
use crate::harness::switch::Switch;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};

/// The sessions that were opened meanwhile stay read-only after the end, as connections to a former primary do.
#[tokio::test]
async fn read_only_postgres_uses_up_no_attempt_and_its_connections_are_replaced() {
    let busy = BusySystem::start(Servers::start().await).await;
    let (system, web) = (&busy.system, &busy.web);

    let mut admin = PgConnection::connect(&system.servers.database_url).await.expect("PostgreSQL is running");
    admin.execute("SET default_transaction_read_only = off").await.expect("a valid statement");
    set_read_only(&mut admin, "SET default_transaction_read_only = on").await;
    let health = wait_for_problem(web, 503, "PostgreSQL accepts only reads").await;
    assert_eq!((&health["status"], &health["services"]["database"]), (&json!("unhealthy"), &json!("down")));
    let refused = trigger(web).await;
    assert_eq!(refused.0, 503, "{refused:?}");
    assert!(refused.1["detail"].as_str().is_some_and(|detail| detail.contains("accepts only reads")), "{refused:?}");
    eventually("reads to be served", || async {
        let read = web.request(Method::GET, "/api/v1/transactions", Some(VIEWER), None).await;
        (read.expect("the web process responds").status == 200).then_some(())
    })
    .await;
    // Longer than a lease of these workers.
    crate::harness::outage(std::time::Duration::from_secs(3)).await;
    let reset = AssertSqlSafe(format!("ALTER DATABASE {} RESET default_transaction_read_only", database(system)));
    admin.execute(reset).await.expect("the owner may change the database");

    wait_for_health(web, 200, "healthy").await;
    assert_eq!(trigger(web).await.0, 202);
    busy.assert_recovers().await;
}

/// Makes new sessions read-only, and ends the existing ones.
async fn set_read_only(admin: &mut PgConnection, setting: &str) {
    let statements = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {setting}', current_database()); END $$;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()"
    );
    admin.execute(AssertSqlSafe(statements)).await.expect("the owner may change the database");
}

fn database(system: &TestSystem) -> &str {
    system.servers.database_url.rsplit('/').next().expect("a database")
}

async fn trigger(web: &Web) -> (u16, Value) {
    let body = json!({"source": "vima", "force": true}).to_string();
    let response = web.request(Method::POST, "/api/v1/sync/trigger", Some(OPERATOR), Some(&body)).await;
    let response = response.expect("the web process responds");
    (response.status, response.json())
}

#[tokio::test]
async fn connections_to_a_redis_that_has_become_a_replica_are_replaced() {
    let (former, promoted) = (PrivateRedis::start().await, PrivateRedis::start().await);
    let switch = Switch::start(former.port()).await;
    let mut servers = Servers::start().await;
    servers.redis_url = format!("redis://127.0.0.1:{}", switch.port);
    let system = TestSystem::start_on(servers, &[]).await;
    let web = system.start_web().await;
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    socket.receive("connected").await;
    let _worker = system.start_jobs(&["worker"]);
    let _scheduler = system.start_jobs(&["scheduler"]);
    wait_for_health(&web, 200, "healthy").await;

    // No server listens on port 1.
    let () = former.command("REPLICAOF 127.0.0.1 1").await;
    let health = wait_for_problem(&web, 200, "Redis accepts only reads").await;
    assert_eq!((&health["status"], &health["services"]["redis"]), (&json!("degraded"), &json!("down")));
    let ticket = web.request(Method::POST, "/api/v1/ws/ticket", Some(ADMIN), None).await.expect("a response");
    assert_eq!(ticket.status, 503, "{ticket:?}");
    switch.turn_to(promoted.port());

    wait_for_health(&web, 200, "healthy").await;
    let workers = format!("{}:queue:sync:workers", system.servers.namespace);
    eventually("the worker to register with the new primary", || async {
        (count::<u64>(&promoted, &format!("ZCARD {workers}")).await > 0).then_some(())
    })
    .await;
    assert_eq!(trigger(&web).await.0, 202);
    let ended = |message: &Value| message["type"] == "sync_completed" && message["source"] == "vima";
    socket.receive_where("the end of the sync, published through the new primary", ended).await;
    let fetched = format!("{}:queue:sync:data", system.servers.namespace);
    eventually("the wake-ups to be consumed", || async {
        (count::<u64>(&promoted, &format!("HLEN {fetched}")).await == 0).then_some(())
    })
    .await;
    assert!(promoted.info("commandstats", "cmdstat_hsetnx").await > 0, "wake-ups were sent through the new primary");
    system.assert_no_attempt_was_used_up().await;
}

async fn count<T: FromRedisValue>(redis: &PrivateRedis, command: &str) -> T {
    redis.command(command).await
}
