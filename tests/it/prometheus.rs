//! What Prometheus reads: every declared metric of every process, with bounded labels and the values of the API, also while
//! PostgreSQL is away; and the rules and the dashboard, which use no other metrics.

mod deployed;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use nix::sys::signal::Signal;
use psp_dashboard::clock::SystemClock;
use psp_dashboard::observability::catalog::{ALL, ExportedBy};
use psp_dashboard::observability::listener::MetricsSource;
use psp_dashboard::operations::scrape::Scraper;
use reqwest::Method;
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::harness::private_servers::PrivatePostgres;
use crate::harness::programs::{CREDENTIALS, Program, free_port, run};
use crate::harness::scrape::{Scrape, scrape};
use crate::harness::servers::Servers;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};
use crate::harness::{TIMEOUT, eventually};

const PATH: &str = "/metrics";
/// For the routes of requests; none may become a label.
const NOISE: [(Method, &str); 3] =
    [(Method::GET, "/no/such/page"), (Method::PUT, "/api/v1/jobs"), (Method::PATCH, "/metrics")];

#[tokio::test]
async fn every_process_exports_its_metrics_and_they_agree_with_the_api() {
    // A single day is reconciled: with the share of the sandbox, it would have no discrepancies once in a while.
    let system = TestSystem::start(&["--fault", "payshack.malformed=0.05", "--discrepancies", "0.2"]).await;
    let [web_port, worker_port, scheduler_port] = [free_port(), free_port(), free_port()].map(|port| port.to_string());
    let jobs =
        |command, port: &str| system.start_jobs_with(&[command], &[("HOST", "127.0.0.1"), ("METRICS_PORT", port)]);
    let web = system.start_web_with(&[("METRICS_PORT", &web_port)]).await;
    let _worker = jobs("worker", &worker_port);
    let mut scheduler = jobs("scheduler", &scheduler_port);
    system.sync_both().await;
    system.run_job("reconcile", None);
    let of_scheduler = eventually("a tick to be counted", || async {
        let scrape = scrape(&scheduler_port).await?;
        scrape.names.contains("psp_scheduler_tick_delay_seconds").then_some(scrape)
    })
    .await;
    // Nothing changes any more.
    scheduler.signal(Signal::SIGTERM);
    scheduler.wait_for_exit(TIMEOUT).await;
    system.wait_until_idle().await;

    let id = Uuid::new_v4().to_string();
    make_noise(&web, &id).await;
    let of_worker = scrape(&worker_port).await.expect("the worker responds");
    let of_web = eventually("the state of the installation to be current", || async {
        let scrape = scrape(&web_port).await?;
        (scrape.value("psp_schedulers_alive") == Some(0.0)).then_some(scrape)
    })
    .await;

    assert_complete(&of_web, &[ExportedBy::EveryProcess, ExportedBy::Web, ExportedBy::Installation]);
    assert_complete(&of_worker, &[ExportedBy::EveryProcess, ExportedBy::Worker]);
    assert_complete(&of_scheduler, &[ExportedBy::EveryProcess, ExportedBy::Scheduler]);
    for scrape in [&of_web, &of_worker, &of_scheduler] {
        scrape.check_with_promtool();
        for secret in CREDENTIALS.into_iter().chain([id.as_str(), "91game", "reseller@example.com"]) {
            assert!(!scrape.text.contains(secret), "{secret} in {}", scrape.text);
        }
        assert_eq!(scrape.value("psp_database_up"), Some(1.0));
        assert_eq!(scrape.value("psp_redis_up"), Some(1.0));
    }
    assert_labels(&of_web);
    assert_agrees(&of_web, &web).await;
    assert_counts(&of_worker, &system).await;
    assert_admins_only(&web).await;
}

/// A scheduler has one connection.
#[tokio::test]
async fn connection_that_a_scrape_needs_is_not_counted_as_used() {
    let servers = Servers::start().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&servers.database_url).await.expect("PostgreSQL runs");
    let scraper = Scraper::new(
        "scheduler",
        ["one", "two"].map(|name| (name, pool.clone())),
        servers.redis().await,
        Arc::new(SystemClock),
    );
    let text = scraper.render().await;
    for sample in ["{pool=\"one\",state=\"used\"} 0\n", "{pool=\"one\",state=\"idle\"} 1\n"] {
        assert!(text.contains(&format!("psp_database_connections{sample}")), "{text}");
    }
}

async fn make_noise(web: &Web, id: &str) {
    for path in [format!("/api/v1/jobs/{id}"), format!("/api/v1/transactions/{id}"), format!("/{id}")] {
        web.request(Method::GET, &path, Some(ADMIN), None).await.expect("the web process responds");
    }
    for (method, path) in NOISE {
        web.request(method, path, Some(ADMIN), None).await.expect("the web process responds");
    }
    let made_up = Method::from_bytes(b"BREW").expect("a token");
    web.request(made_up, "/api/v1/jobs", None, None).await.expect("the web process responds");
    web.request(Method::GET, "/api/v1/export/payshack-clients", Some(ADMIN), None).await.expect("a file");
}

/// Every declared metric of these exporters is there, and no other.
fn assert_complete(scrape: &Scrape, exporters: &[ExportedBy]) {
    let declared: BTreeSet<&str> =
        ALL.iter().filter(|metric| exporters.contains(&metric.exported_by)).map(|metric| metric.name).collect();
    // Counted only after a first file in this process.
    let later: BTreeSet<&str> = ["psp_exports_total", "psp_exported_rows_total"].into();
    let missing: Vec<_> =
        declared.iter().filter(|name| !scrape.names.contains(**name) && !later.contains(**name)).collect();
    let unknown: Vec<_> = scrape.names.iter().filter(|name| !declared.contains(name.as_str())).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
}

/// Routes are templates of operations, and methods known ones.
fn assert_labels(scrape: &Scrape) {
    let label = |name: &str| scrape.label_values("http_server_request_duration_seconds_count", name);
    let routes = label("http_route");
    for route in ["/api/v1/jobs/{id}", "/api/v1/transactions/{id}", "/health/ready", "unmatched"] {
        assert!(routes.contains(route), "{route} of {routes:?}");
    }
    let templates: BTreeSet<&str> =
        psp_dashboard::web::http::auth::policy::POLICIES.iter().map(|policy| policy.path).collect();
    assert!(routes.iter().all(|route| route == "unmatched" || templates.contains(route.as_str())), "{routes:?}");
    assert!(label("http_request_method").contains("_OTHER"));
    let exported = r#"psp_exports_total{export="payshack-clients",format="csv",outcome="complete"}"#;
    assert_eq!(scrape.value(exported), Some(1.0), "{}", scrape.text);
}

async fn assert_agrees(scrape: &Scrape, web: &Web) {
    let status = web.get("/api/v1/sync/status").await;
    for source in status["sources"].as_array().expect("sources") {
        let name = source["source"].as_str().expect("a name");
        let value = |metric: &str| scrape.value(&format!("{metric}{{source=\"{name}\"}}"));
        assert_eq!(value("psp_quarantine_records"), source["quarantined"].as_f64(), "{name}");
        assert_eq!(
            value("sync_last_success_timestamp_seconds").map(f64::round),
            seconds(&source["last_successful_sync"])
        );
        let (lag, of_api) = (value("sync_lag_seconds").expect(name), source["lag_seconds"].as_f64().expect(name));
        // The API was asked later, on a machine that may be slow.
        assert!(lag <= of_api + 1.0 && of_api <= lag + TIMEOUT.as_secs_f64(), "{name}: {lag} and {of_api}");
    }
    assert!(scrape.value(r#"psp_quarantine_records{source="payshack"}"#) > Some(0.0), "the sandbox sends some");
    let queues = web.get("/api/v1/queues").await;
    for queue in queues["items"].as_array().expect("queues") {
        let name = queue["name"].as_str().expect("a name");
        assert_eq!(scrape.value(&format!("psp_workers_alive{{queue=\"{name}\"}}")), Some(1.0), "{queue}");
        for state in ["queued", "scheduled", "running", "retrying"] {
            let depth = scrape.value(&format!("psp_queue_jobs{{queue=\"{name}\",state=\"{state}\"}}"));
            assert_eq!(depth, queue["depth"][state].as_f64(), "{queue}");
        }
    }
    let open = web.get("/api/v1/reconciliation/discrepancies?state=open,acknowledged").await;
    let unresolved = scrape.sum("psp_discrepancies_unresolved");
    assert_eq!(Some(unresolved), open["total"].as_f64());
    assert!(unresolved > 0.0, "the sandbox has discrepancies");
    let summary = web.get("/api/v1/reconciliation/summary").await;
    let matched = scrape.value(r#"psp_reconciliation_payments{verdict="matched"}"#);
    assert_eq!(matched, summary["matched"]["count"].as_f64(), "{summary}");
}

fn seconds(time: &Value) -> Option<f64> {
    let time: DateTime<Utc> = time.as_str()?.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century are exact")]
    Some((time.timestamp_millis() as f64 / 1_000.0).round())
}

/// What the worker counted is what it stored.
async fn assert_counts(scrape: &Scrape, system: &TestSystem) {
    for source in ["vima", "payshack"] {
        let counted = scrape.value(&format!("sync_records_total{{outcome=\"inserted\",source=\"{source}\"}}"));
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let stored = system.count_transactions(source).await as f64;
        assert_eq!(counted, Some(stored), "{source}");
    }
    let succeeded = scrape.value(r#"psp_jobs_total{kind="sync-vima",outcome="succeeded"}"#);
    #[expect(clippy::cast_precision_loss, reason = "a few jobs")]
    let stored =
        system.number("SELECT count(*) FROM jobs WHERE kind = 'sync-vima' AND state = 'succeeded'").await as f64;
    assert_eq!(succeeded, Some(stored));
    assert_eq!(scrape.value(r#"psp_jobs_total{kind="export",outcome="failed"}"#), Some(0.0), "counters begin at 0");
    let logins = scrape.value(r#"psp_provider_requests_total{endpoint="login",outcome="ok",provider="payshack"}"#);
    assert!(logins >= Some(1.0), "{logins:?}");
    assert_eq!(scrape.value("psp_worker_slots_used"), Some(0.0));
}

async fn assert_admins_only(web: &Web) {
    for (key, expected) in [(None, 401), (Some("no-such-key"), 401), (Some(VIEWER), 403), (Some(OPERATOR), 403)] {
        let response = web.request(Method::GET, PATH, key, None).await.expect("the web process responds");
        assert_eq!(response.status, expected, "{key:?}");
    }
    let response = web.request(Method::GET, PATH, Some(ADMIN), None).await.expect("the web process responds");
    assert_eq!((response.status, response.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(response.text.contains("\nsync_lag_seconds{"), "{}", response.text);
}

#[tokio::test]
async fn scrape_succeeds_while_postgres_is_away() {
    let postgres = PrivatePostgres::start().await;
    let system = TestSystem::start_on(Servers::with_postgres(&postgres).await, &[]).await;
    let [web_port, worker_port] = [free_port(), free_port()].map(|port| port.to_string());
    let _web = system.start_web_with(&[("METRICS_PORT", &web_port)]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("HOST", "127.0.0.1"), ("METRICS_PORT", &worker_port)]);
    let up = async |expected: f64| {
        for port in [&web_port, &worker_port] {
            eventually(&format!("psp_database_up to be {expected}"), || async {
                let scrape = scrape(port).await?;
                (scrape.value("psp_database_up") == Some(expected)).then_some(())
            })
            .await;
        }
    };
    up(1.0).await;
    postgres.stop().await;
    up(0.0).await;
    let away = scrape(&web_port).await.expect("a response");
    assert_eq!((away.value("psp_installation_up"), away.value("psp_redis_up")), (Some(0.0), Some(1.0)));
    assert!(!away.names.contains("psp_workers_alive"), "no outdated value: {}", away.text);
    assert!(away.names.contains("process_resident_memory_bytes"), "{}", away.text);
    postgres.restart().await;
    up(1.0).await;
}

#[tokio::test]
async fn invalid_port_and_taken_port_prevent_the_start() {
    let system = TestSystem::start(&[]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").port().to_string();
    let free = free_port().to_string();
    for (program, command) in [(Program::Psp, "web"), (Program::Jobs, "worker"), (Program::Jobs, "scheduler")] {
        for port in ["0", "65536", "x", taken.as_str()] {
            let listen = [("HOST", "127.0.0.1"), ("PORT", free.as_str()), ("METRICS_PORT", port)];
            let settings = listen.map(|(name, value)| (name, value.to_owned()));
            let output = run(program, &[command], system.jobs_settings().into_iter().chain(settings));
            assert_eq!(output.status.code(), Some(1), "{command} {port}: {output:?}");
            assert!(output.stderr.contains("METRICS_PORT"), "{command} {port}: {output:?}");
        }
    }
}
