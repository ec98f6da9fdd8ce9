//! One trace id from a request, a tick or a command to the job, its attempts, their calls and events; and its export, which
//! never delays or fails anything.

use std::net::TcpListener;

use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Executor;
use uuid::Uuid;

use crate::harness::collector::{Collector, Step};
use crate::harness::exports::{EXPORTS, export_path, wait_for_export};
use crate::harness::programs::{CREDENTIALS, Program, RunningProgram, free_port, run};
use crate::harness::test_queue::TestQueue;
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, Web};
use crate::harness::webhook_receiver::{Answer, WebhookReceiver};
use crate::harness::{TIMEOUT, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const OTHER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRIGGER: &str = "/api/v1/sync/trigger";

async fn trigger_vima(web: &Web, traceparent: &str) -> ApiResponse {
    let headers = [("x-api-key", OPERATOR), ("content-type", "application/json"), ("traceparent", traceparent)];
    let response = web.post_with(TRIGGER, &headers, r#"{"source":"vima"}"#).await;
    assert_eq!(response.status, StatusCode::ACCEPTED, "{response:?}");
    response
}

/// The lines of a log that contain `text`.
fn lines<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

async fn stop(program: &mut RunningProgram) {
    program.signal(Signal::SIGTERM);
    let status = program.wait_for_exit(TIMEOUT).await;
    assert!(status.success(), "{status}: {}", program.output());
}

/// The trace ids that a query returns.
#[expect(
    clippy::disallowed_methods,
    reason = "a test query is not part of the program, so it is not checked against the schema"
)]
async fn trace_ids(system: &TestSystem, query: &'static str) -> Vec<String> {
    let query = sqlx::query_scalar::<_, String>(query);
    query.fetch_all(&system.pool).await.expect("the database responds")
}

#[tokio::test]
async fn request_job_calls_and_events_share_a_trace() {
    let collector = Collector::start().await;
    let system = TestSystem::start(&[]).await;
    let mut web = system.start_web_with(&collector.settings()).await;
    let response = trigger_vima(&web, &format!("00-{TRACE}-{CALLER}-01")).await;
    assert!(response.header("traceresponse").starts_with(&format!("00-{TRACE}-")), "{response:?}");
    // The job waits, for there is no worker: the second request joins it.
    trigger_vima(&web, &format!("00-{OTHER_TRACE}-{CALLER}-01")).await;
    assert_problems_have_a_trace(&web).await;
    assert_checked(&system, &collector.settings(), "ok    traces: the collector accepts them").await;
    assert_checked(&system, &collector.settings()[..1], "warn  traces: the collector responds 401").await;
    assert_checked(&system, &[], "ok    traces: not exported").await;

    let mut worker = system.start_jobs_with(&["worker"], &collector.settings());
    system.wait_until_idle().await;
    let jobs = trace_ids(&system, "SELECT DISTINCT COALESCE(substr(traceparent, 4, 32), '') FROM jobs").await;
    assert_eq!(jobs, [TRACE], "also of the jobs that a job has enqueued");
    let events = trace_ids(&system, "SELECT DISTINCT COALESCE(trace_id, '') FROM events").await;
    assert_eq!(events, [TRACE]);

    stop(&mut worker).await;
    stop(&mut web.program).await;
    let (of_web, of_worker) = (web.program.output(), worker.output());
    for text in [TRIGGER, "\"request_id\""] {
        assert!(lines(&of_web, text).iter().all(|line| line.contains("trace_id")), "{of_web}");
    }
    assert_eq!(lines(&of_web, &format!("POST {TRIGGER} 202")).len(), 2);
    assert_eq!(lines(&lines(&of_web, &format!("POST {TRIGGER} 202")).join("\n"), TRACE).len(), 1, "{of_web}");
    let of_jobs = lines(&of_worker, "\"epoch\"");
    assert!(!of_jobs.is_empty() && of_jobs.iter().all(|line| line.contains(TRACE)), "{of_worker}");
    assert_exported(&collector.steps());
}

/// `psp check` reports this, and succeeds.
async fn assert_checked(system: &TestSystem, settings: &[(&'static str, &str)], line: &str) {
    let overrides = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let settings: Vec<_> = system.settings().into_iter().chain(overrides).collect();
    // Blocking, which would stop the collector.
    let check = tokio::task::spawn_blocking(move || run(Program::Psp, &["check"], settings)).await.expect("no panic");
    assert!(check.status.success() && check.stdout.contains(line), "{check:?}");
}

async fn assert_problems_have_a_trace(web: &Web) {
    let missing = format!("/api/v1/jobs/{}", Uuid::nil());
    let traceparent = format!("00-{OTHER_TRACE}-{CALLER}-00");
    for (sent, continued) in [(traceparent.as_str(), true), ("00-xyz-1-01", false), ("", false)] {
        let headers = [("x-api-key", OPERATOR), ("traceparent", sent)];
        let response = web.send(Method::GET, &missing, &headers).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND);
        let problem: Value = response.json();
        let trace_id = problem["trace_id"].as_str().expect("a trace");
        assert_eq!((trace_id.len(), trace_id == OTHER_TRACE), (32, continued), "{sent}: {problem}");
        let shown = response.header("traceresponse");
        assert!(shown.contains(trace_id), "{shown}: {problem}");
        assert!(!continued || shown.ends_with("-00"), "the caller has decided: {shown}");
    }
}

/// Named steps, each caused by the one before, without credentials.
fn assert_exported(steps: &[Step]) {
    let request = steps.iter().find(|step| step.parent() == CALLER && step.trace_id() == TRACE);
    let request = request.unwrap_or_else(|| panic!("no request was exported: {steps:#?}"));
    assert_eq!((request.service.as_str(), &request.span.name), ("psp-web", &format!("POST {TRIGGER}")));
    assert_eq!(request.attribute("http.response.status_code"), "202");
    // The first run finds nothing new, and enqueues a job that reads the days before.
    let attempt_within = |cause: &Step| {
        let found = steps.iter().find(|step| step.span.name == "job.sync_vima" && step.parent() == cause.id());
        found.unwrap_or_else(|| panic!("{} has caused no attempt: {steps:#?}", cause.span.name))
    };
    let attempt = attempt_within(request);
    let next = attempt_within(attempt);
    assert_eq!((attempt.service.as_str(), next.service.as_str()), ("psp-worker", "psp-worker"));
    assert_eq!(
        (attempt.attribute("psp.job.kind"), attempt.attribute("psp.job.outcome")),
        ("sync-vima".to_owned(), "succeeded".to_owned())
    );
    let of_attempt = |parent: &Step| steps.iter().filter(|step| step.parent() == parent.id()).collect::<Vec<_>>();
    let calls: Vec<_> =
        of_attempt(attempt).into_iter().filter(|step| step.attribute("psp.provider") == "vima").collect();
    assert!(!calls.is_empty() && calls.iter().all(|call| call.trace_id() == TRACE), "{steps:#?}");
    assert!(of_attempt(next).iter().any(|step| step.span.name == "page" && step.trace_id() == TRACE), "{steps:#?}");
    let joined = steps.iter().find(|step| step.trace_id() == OTHER_TRACE && step.span.name == request.span.name);
    let linked = joined.map(|step| step.span.links.iter().map(|link| hex::encode(&link.trace_id)).collect::<Vec<_>>());
    assert_eq!(linked, Some(vec![TRACE.to_owned()]), "the joined job keeps its trace");
    let text = format!("{steps:?}");
    for secret in CREDENTIALS.into_iter().chain(["collector-token", "reseller@example.com", "otto"]) {
        assert!(!text.contains(secret), "{secret} is exported");
    }
}

/// What jobs call besides the providers; what the API says of a job's trace; and what is not exported.
#[tokio::test]
async fn files_and_deliveries_are_steps_and_health_checks_are_not() {
    let (collector, folder) = (Collector::start().await, tempfile::tempdir().expect("a folder"));
    let system = TestSystem::start(&[]).await;
    let store = format!("file://{}", folder.path().display());
    let settings: Vec<_> = collector.settings().into_iter().chain([("EXPORT_STORE", store.as_str())]).collect();
    let mut web = system.start_web_with(&settings).await;
    let mut worker = system.start_jobs_with(&["worker"], &settings);
    let receiver = WebhookReceiver::start(Answer::Status(204)).await;
    let webhook = json!({"url": receiver.url, "events": ["export_ready"]});
    let secret = post(&web, "/api/v1/webhooks", ADMIN, &webhook).await["secret"].as_str().map(str::to_owned);
    let export = post(&web, EXPORTS, OPERATOR, &json!({"export": "transactions"})).await;
    wait_for_export(&web, &export, TIMEOUT).await;
    let download = web.download(OPERATOR, &format!("{}/download", export_path(&export)), &[]).await;
    let file = download.bytes().await.expect("a file");
    assert!(!file.is_empty());
    let delivery = receiver.wait_for(1).await.remove(0);
    assert!(delivery.headers.keys().all(|name| !name.as_str().starts_with("trace")), "{delivery:?}");
    let job_id = export["job_id"].as_str().expect("an id");
    system.wait_until_idle().await;
    assert_job_has_a_trace(&system, &web, job_id).await;
    for probe in ["/health", "/health/live", "/health/ready/", "/metrics"] {
        web.send(Method::GET, probe, &traced(ADMIN)).await;
    }
    stop(&mut worker).await;
    stop(&mut web.program).await;

    let steps = collector.steps();
    let named = |name: &str| steps.iter().filter(|step| step.span.name == name).collect::<Vec<_>>();
    let [attempt] = named("job.export")[..] else { panic!("{steps:#?}") };
    let [write] = named("object_store write")[..] else { panic!("{steps:#?}") };
    assert_eq!((attempt.trace_id().as_str(), write.parent()), (TRACE, attempt.id()), "{steps:#?}");
    assert_eq!(named("object_store read").first().map(|read| read.service.as_str()), Some("psp-web"), "{steps:#?}");
    let [delivered] = named("webhook.delivery")[..] else { panic!("{steps:#?}") };
    assert_eq!(delivered.attribute("http.response.status_code"), "204");
    assert!(named("job.deliver_webhook").iter().any(|attempt| attempt.id() == delivered.parent()), "{steps:#?}");
    let is_probe = |step: &&Step| ["/health", "/metrics"].iter().any(|path| step.span.name.contains(path));
    assert_eq!(steps.iter().find(is_probe).map(|step| &step.span.name), None);
    let (text, folder) = (format!("{steps:?}"), folder.path().display().to_string());
    for private in [folder, receiver.url.clone(), secret.expect("a secret")] {
        assert!(!text.contains(&private), "{private} is exported");
    }
}

fn traced(key: &str) -> [(&'static str, &str); 3] {
    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    [("x-api-key", key), ("content-type", "application/json"), ("traceparent", TRACEPARENT)]
}

/// Sends a request of the trace.
async fn post(web: &Web, path: &str, key: &str, body: &Value) -> Value {
    let response = web.post_with(path, &traced(key), &body.to_string()).await;
    assert!((200..300).contains(&response.status), "{response:?}");
    response.json()
}

async fn assert_job_has_a_trace(system: &TestSystem, web: &Web, job_id: &str) {
    let path = format!("/api/v1/jobs/{job_id}");
    assert_eq!(web.get(&path).await["trace_id"], TRACE);
    system.pool.execute("UPDATE jobs SET traceparent = NULL").await.expect("the database responds");
    assert_eq!(web.get(&path).await["trace_id"], job_id.replace('-', ""), "the one that its attempts have had");
}

#[tokio::test]
async fn ticks_begin_traces() {
    let system = TestSystem::start(&[]).await;
    let mut scheduler = system.start_jobs(&["scheduler"]);
    let query = "SELECT substr(traceparent, 4, 32) FROM jobs WHERE trigger = 'schedule' AND traceparent IS NOT NULL";
    let found =
        eventually("a tick", || async { Some(trace_ids(&system, query).await).filter(|found| !found.is_empty()) })
            .await;
    stop(&mut scheduler).await;
    let log = scheduler.output();
    for trace_id in found {
        assert!(lines(&log, "scheduled job enqueued").iter().any(|line| line.contains(&trace_id)), "{trace_id}: {log}");
    }
}

#[tokio::test]
async fn every_attempt_continues_the_trace_of_the_command() {
    let queue = TestQueue::start().await;
    let args = r#"{"how":"until","attempt":2}"#;
    let worker = queue.start_worker(&[]);
    let mut command = queue.start_process(&["enqueue", "failing", args, "--wait"], &[]).program;
    let status = command.wait_for_exit(TIMEOUT).await;
    assert!(status.success(), "{}", command.output());
    let trace_id: String = sqlx::query_scalar!("SELECT substr(traceparent, 4, 32) FROM jobs")
        .fetch_one(&queue.pool)
        .await
        .expect("one job")
        .expect("the trace of the command");
    let log = worker.program.output();
    let attempts = lines(&log, "attempt ended");
    assert_eq!(attempts.len(), 2, "{log}");
    assert!(attempts.iter().all(|line| line.contains(&trace_id)), "{trace_id}: {log}");
}

#[tokio::test]
async fn collector_that_is_away_or_silent_delays_nothing() {
    let system = TestSystem::start(&[]).await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let [silent_url, away_url] =
        [silent.local_addr().expect("it is bound").port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
    let settings = |url| [("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let mut web = system.start_web_with(&settings(silent_url.as_str())).await;
    let mut worker = system.start_jobs_with(&["worker"], &settings(away_url.as_str()));
    assert_checked(&system, &settings(away_url.as_str()), "warn  traces: error sending request").await;
    trigger_vima(&web, &format!("00-{TRACE}-{CALLER}-01")).await;
    system.wait_until_idle().await;
    system.assert_no_attempt_was_used_up().await;
    eventually("the worker to report it", || async { worker.output().contains("cannot export traces").then_some(()) })
        .await;
    // Within the grace, after which a process would exit with an error.
    stop(&mut worker).await;
    stop(&mut web.program).await;
    assert_eq!(lines(&worker.output(), "cannot export traces").len(), 1, "{}", worker.output());
}
