//! Nothing secret and nothing personal is in the logs of any program at the level debug, in error responses, or in Redis.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::harness::programs::{CREDENTIALS, RunningProgram};
use crate::harness::socket::Socket;
use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web};

const DEBUG: [(&str, &str); 2] = [("LOG_LEVEL", "debug"), ("PROVIDER_TIMEOUT_SECONDS", "1")];
/// Damages responses and records, so that error messages have something to quote.
const FAULTS: &str = "malformed=0.3 nan=0.1 control-char=0.1 bad-escape=0.1 stray-quote=0.1 duplicate-key=0.1 \
    unreadable-paid-amount=0.1 repeated-name=0.1 nul=0.1 html=0.05 truncated=0.1 success-false=0.05 401=0.03 500=0.05";
/// The beginning of every access token of PayShack: the header of a JSON Web Token.
const ACCESS_TOKEN: &str = "eyJhbGciOi";
const WRONG_KEY: &str = "a-wrong-key-that-somebody-guessed";

/// Texts that must not be found, each with what it is.
type Forbidden = BTreeSet<(&'static str, String)>;

fn secrets() -> Forbidden {
    let others = [WRONG_KEY, ACCESS_TOKEN, "sandbox-refresh-", "sandbox-secret-"];
    CREDENTIALS.into_iter().chain(others).map(|secret| ("a secret", secret.to_owned())).collect()
}

/// The persons in the database, and the accounts in their raw records.
async fn personal_data(system: &TestSystem) -> Forbidden {
    let rows = sqlx::query!(
        r#"SELECT user_email, user_phone, CASE WHEN user_name LIKE '% %' THEN user_name END AS user_name,
                  substring(raw_data::text from '"beneAccount": *"([0-9]+)"') AS account
             FROM transactions"#
    );
    let rows = rows.fetch_all(&system.pool).await.expect("the database responds").into_iter().flat_map(|row| {
        [
            ("an e-mail address", row.user_email),
            ("a phone number", row.user_phone),
            ("a name", row.user_name),
            ("an account number", row.account),
        ]
    });
    rows.filter_map(|(what, value)| Some((what, value?))).collect()
}

fn assert_discloses_nothing(forbidden: &Forbidden, place: &str, text: &str) {
    for (what, value) in forbidden {
        if let Some(at) = text.find(value) {
            let line = text[..at].rfind('\n').map_or(0, |end| end + 1)
                ..text[at..].find('\n').map_or(text.len(), |end| at + end);
            panic!("{place} discloses {what}: {value}: {}", &text[line]);
        }
    }
}

#[tokio::test]
async fn logs_errors_and_redis_disclose_neither_secrets_nor_personal_data() {
    let faults = FAULTS.split(' ').flat_map(|fault| ["--fault", fault]);
    let system = TestSystem::start(&faults.collect::<Vec<_>>()).await;
    let web = system.start_web_with(&[("LOG_LEVEL", "debug")]).await;
    let jobs = ["worker", "scheduler"].map(|command| system.start_jobs_with(&[command], &DEBUG));
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    socket.receive("connected").await;
    for kind in ["sync-vima", "sync-payshack", "sync-payshack-metadata", "reconcile"] {
        // With these faults a job may fail; its messages are what this test is about.
        let _output = system.try_run_job(kind, None);
    }
    let personal = personal_data(&system).await;
    let kinds: BTreeSet<&str> = personal.iter().map(|(what, _)| *what).collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");

    let errors = provoke_errors(&web, &personal).await;
    let redis = redis_contents(&system).await;
    assert!(!redis.is_empty(), "a ticket, at least");
    let forbidden: Forbidden = secrets().into_iter().chain(personal).collect();
    assert_discloses_nothing(&forbidden, "Redis", &redis);
    for error in errors {
        assert_discloses_nothing(&forbidden, "an error response", &error);
    }
    let [worker, scheduler] = &jobs;
    for (place, program) in [("web", &web.program), ("the worker", worker), ("the scheduler", scheduler)] {
        let output = RunningProgram::output(program);
        assert!(output.contains("\"level\":\"DEBUG\""), "{place} logs at the level debug");
        assert_discloses_nothing(&forbidden, &format!("the log of {place}"), &output);
    }
}

/// Sends requests that fail, and some that succeed, with secrets and personal data at every place; returns the bodies of the
/// errors.
async fn provoke_errors(web: &Web, personal: &Forbidden) -> Vec<String> {
    let email = personal.iter().find(|(what, _)| *what == "an e-mail address").map_or("", |(_, email)| email.as_str());
    let mut errors = vec![];
    let ticket = web.request(Method::POST, "/api/v1/ws/ticket", Some(VIEWER), None).await.expect("a response");
    assert_eq!(ticket.status, 200, "{ticket:?}");
    let export =
        json!({"export": "transactions", "query": format!("format=csv&search={email}&status=none")}).to_string();
    let search = format!("/api/v1/transactions?search={email}");
    for (method, path, key, body) in [
        (Method::GET, "/api/v1/me", Some(WRONG_KEY), None),
        (Method::GET, search.as_str(), Some(WRONG_KEY), None),
        (Method::GET, search.as_str(), Some(VIEWER), None),
        (Method::GET, search.as_str(), Some(OPERATOR), None),
        (Method::GET, &format!("{search}&limit=0"), Some(OPERATOR), None),
        (Method::POST, "/api/v1/exports", Some(OPERATOR), Some(export.as_str())),
        (Method::POST, "/api/v1/exports", Some(OPERATOR), Some("{\"export\":")),
        (Method::POST, "/api/v1/queues/sync/pause", Some(VIEWER), None),
        (Method::GET, "/api/v1/jobs?limit=100", Some(VIEWER), None),
        (Method::GET, "/api/v1/sync/runs?limit=100", Some(VIEWER), None),
    ] {
        let response = web.request(method, path, key, body).await.expect("the web process responds");
        if response.status >= 400 || key == Some(VIEWER) && !path.contains("search") {
            errors.push(response.text);
        }
    }
    errors
}

/// Every value of this installation in Redis, as text.
async fn redis_contents(system: &TestSystem) -> String {
    let client = redis::Client::open(system.servers.redis_url.as_str()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is running");
    // One script: a wake-up that is consumed meanwhile is no error.
    let script = redis::Script::new(
        "local found = {}
         for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
           local kind = redis.call('TYPE', key).ok
           local values = kind == 'string' and {redis.call('GET', key)} or kind == 'hash' and redis.call('HGETALL', key)
             or kind == 'list' and redis.call('LRANGE', key, 0, -1) or kind == 'set' and redis.call('SMEMBERS', key)
             or kind == 'zset' and redis.call('ZRANGE', key, 0, -1) or {}
           found[#found + 1] = key .. ' ' .. table.concat(values, ' ')
         end
         return table.concat(found, '\\n')",
    );
    let contents: Vec<u8> = script
        .arg(format!("{}*", system.servers.namespace))
        .invoke_async(&mut connection)
        .await
        .expect("Redis runs scripts");
    String::from_utf8_lossy(&contents).into_owned()
}
