//! What hosts such as Heroku require of the processes, and what they give them.

use std::fmt::Write as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use psp_dashboard::config::{EnvVars, ServersConfig};
use psp_dashboard::db::pool::connect;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::certificate::CERTIFICATE;
use crate::harness::eventually;
use crate::harness::private_servers::{PrivatePostgres, PrivateRedis};
use crate::harness::programs::{Output, Program, run};
use crate::harness::servers::{Servers, number};
use crate::harness::test_system::{TestSystem, VIEWER, Web};

/// Heroku's collector of logs splits longer lines.
const MAX_LINE: usize = 10_000;
/// A host kills a process this long after SIGTERM.
const KILLED_AFTER: Duration = Duration::from_secs(30);
const BOOT_LIMIT: Duration = Duration::from_secs(30);

fn check(system: &TestSystem, settings: &[(&'static str, &str)]) -> Output {
    let overrides = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
    run(Program::Psp, &["check"], system.settings().into_iter().chain(overrides))
}

fn assert_reports(output: &Output, line: &str) {
    assert!(output.stdout.contains(line), "{line}: {output:?}");
}

#[tokio::test]
async fn redis_with_a_self_signed_certificate_is_used_only_on_request() {
    let redis = PrivateRedis::start_with_tls().await;
    let system = TestSystem::start_on(Servers::with_redis(&redis).await, &[]).await;
    for (program, command) in [(Program::Psp, "web"), (Program::Jobs, "worker"), (Program::Jobs, "scheduler")] {
        let refused = run(program, &[command], system.settings().into_iter().chain([("PORT", "0".to_owned())]));
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let named = refused.stderr.contains("certificate") && refused.stderr.contains("REDIS_TLS_INSECURE=true");
        assert!(named, "{refused:?}");
    }
    let refused = check(&system, &[]);
    assert_reports(&refused, "FAIL  redis: the certificate of Redis is not trusted");
    assert_reports(&refused, "REDIS_TLS_INSECURE=true");

    let in_url = format!("{}?ssl_cert_reqs=none", redis.url());
    let web = system.start_web_with(&[("REDIS_TLS_INSECURE", "true")]).await;
    let worker = system.start_jobs_with(&["worker"], &[("REDIS_URL", &in_url)]);
    let scheduler = system.start_jobs_with(&["scheduler"], &[("REDIS_TLS_INSECURE", "true")]);
    for program in [&web.program, &worker, &scheduler] {
        eventually("the log to warn", || async {
            program.output().contains("the certificate of Redis is not verified").then_some(())
        })
        .await;
    }
    system.wait_until_first_sync().await;
    assert_budget_of_redis(&system, &redis, &in_url).await;
}

/// Small plans allow about 20 connections, and two releases run during a deployment.
async fn assert_budget_of_redis(system: &TestSystem, redis: &PrivateRedis, url: &str) {
    let ours = 1;
    eventually("one process of each kind to have at most five connections", || async {
        let connections = redis.info("clients", "connected_clients").await - ours;
        assert!(connections <= 10, "{connections}");
        (2..=5).contains(&connections).then_some(())
    })
    .await;
    let settings = [("REDIS_URL", url)];
    let accepted = check(system, &settings);
    for line in [
        "ok    database: PostgreSQL 1",
        "ok    redis: Redis ",
        "ok    redis: reachable, accepts writes",
        "ok    redis: maxmemory-policy is noeviction",
        "ok    redis: one deployment uses at most 7 connections",
    ] {
        assert_reports(&accepted, line);
    }
    let () = redis.command("CONFIG SET maxmemory-policy allkeys-lru").await;
    let () = redis.command("CONFIG SET maxclients 12").await;
    let warned = check(system, &settings);
    assert_reports(&warned, "warn  redis: maxmemory-policy is allkeys-lru");
    assert_reports(&warned, "but Redis allows only 12");
}

#[tokio::test]
async fn postgresql_is_reached_with_every_sslmode_of_hosts() {
    let postgres = PrivatePostgres::start().await;
    let servers = Servers::with_postgres(&postgres).await;
    postgres.enable_tls().await;
    let trusted = format!("?sslmode=verify-full&sslrootcert={}", CERTIFICATE.path.display());
    for (query, encrypted) in [
        // As Heroku sets it.
        ("", true),
        ("?sslmode=require", true),
        ("?sslmode=no-verify", true),
        ("?sslmode=disable", false),
        (trusted.as_str(), true),
    ] {
        let url = format!("{}{query}", servers.database_url);
        let mut env_vars = EnvVars::from_pairs([("DATABASE_URL", url.as_str())]);
        let settings = ServersConfig::read_database(&mut env_vars).expect("valid settings");
        let pool = connect(&settings).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        let encryption = "SELECT ssl::int::bigint FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        assert_eq!(number(&pool, encryption).await == 1, encrypted, "{query}");
    }
    let system = TestSystem::start_on(servers, &[]).await;
    let unknown = format!("{}?sslmode=verify-full", postgres.url);
    let refused = check(&system, &[("DATABASE_URL", &unknown)]);
    assert_reports(&refused, "FAIL  database: the certificate of PostgreSQL is not trusted");
    assert_reports(&refused, "sslrootcert");
}

#[tokio::test]
async fn web_process_boots_in_time_and_listens_on_every_address() {
    let system = TestSystem::start(&[]).await;
    let started = tokio::time::Instant::now();
    let web = system.start_web_with(&[("HOST", "")]).await;
    assert!(started.elapsed() < BOOT_LIMIT, "{:?}", started.elapsed());
    TcpStream::connect(("127.0.0.2", web.port)).await.expect("0.0.0.0 is every address");
    let everywhere = check(&system, &[("PORT", "8123")]);
    assert_reports(&everywhere, "ok    address: psp web listens on 0.0.0.0:8123");
    let here = check(&system, &[("HOST", "127.0.0.1")]);
    assert_reports(&here, "warn  address: psp web listens on 127.0.0.1:8000");
    log_lines_are_short(&web).await;
}

/// A path of characters that JSON escapes: in the log, it is twice as long as on the wire.
async fn log_lines_are_short(web: &Web) {
    let mut client = TcpStream::connect(("127.0.0.1", web.port)).await.expect("the web process listens");
    let request = format!(
        "GET /api/v1/{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-api-key: {VIEWER}\r\n\r\n",
        "\"".repeat(7_500)
    );
    client.write_all(request.as_bytes()).await.expect("the web process reads");
    let mut response = String::new();
    client.read_to_string(&mut response).await.expect("a response");
    assert!(response.starts_with("HTTP/1.1 404"), "{response}");
    let line = eventually("the request to be logged", || async {
        let output = web.program.output();
        output.lines().find(|line| line.contains("bytes truncated]")).map(str::to_owned)
    })
    .await;
    let fields: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(fields["level"], "INFO", "{fields}");
    assert_lines_are_short(&web.program.output());
}

fn assert_lines_are_short(output: &str) {
    let longest = output.lines().map(str::len).max().unwrap_or(0);
    assert!(longest < MAX_LINE, "a log line of {longest} bytes");
}

/// The error of a provider may be as long as `PROVIDER_MAX_RESPONSE_BYTES`.
#[tokio::test]
async fn huge_provider_errors_make_no_long_log_lines() {
    let system = TestSystem::start(&[]).await;
    let mut body = String::from("<html>");
    for number in 0..15_000 {
        write!(body, "<p>error {number} \"of\" the gateway</p>").expect("a text");
    }
    let json = json!({"success": false, "message": body}).to_string();
    let scripted = [
        json!({"path": "vima/operation", "status": 400, "body": body, "headers": {"content-type": "text/html"}}),
        json!({"path": "payshack", "status": 400, "body": json}),
    ];
    system.sandbox.script(json!(scripted)).await;
    let worker = system.start_jobs(&["worker"]);
    for kind in ["sync-vima", "sync-payshack"] {
        let failed = system.try_run_job(kind, None);
        assert!(!failed.status.success(), "{failed:?}");
        assert_lines_are_short(&failed.stderr);
    }
    assert_lines_are_short(&worker.output());
}

#[tokio::test]
async fn processes_stop_in_time_although_postgresql_is_frozen() {
    let postgres = PrivatePostgres::start().await;
    let system = TestSystem::start_on(Servers::with_postgres(&postgres).await, &[]).await;
    let web = system.start_web().await;
    let jobs = ["worker", "scheduler"].map(|command| system.start_jobs(&[command]));
    eventually("worker and scheduler to be alive", || async {
        (system.number("SELECT count(*) FROM processes").await == 2).then_some(())
    })
    .await;
    postgres.freeze();
    let mut programs: Vec<_> = jobs.into_iter().chain([web.program]).collect();
    for program in &programs {
        program.signal(Signal::SIGTERM);
    }
    for program in &mut programs {
        program.wait_for_exit(KILLED_AFTER).await;
    }
    postgres.unfreeze();
}
