//! The commands: their help, and one clear message for everything that prevents them from starting.

use reqwest::Method;
use uuid::Uuid;

use crate::harness::private_servers::PrivateRedis;
use crate::harness::programs::{Output, Program, free_port, run};
use crate::harness::servers::Servers;
use crate::harness::socket::Socket;
use crate::harness::test_system::TestSystem;

const NO_SETTINGS: [(&str, String); 0] = [];

/// Every required setting; nothing listens at the providers' addresses.
fn complete_settings(database: &str, redis: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", database.to_owned()),
        ("REDIS_URL", redis.to_owned()),
        ("REDIS_NAMESPACE", format!("psp_test_{}", Uuid::new_v4().simple())),
        ("VIMA_BASE_URL", "http://127.0.0.1:1/vima".to_owned()),
        ("VIMA_API_KEY", "key".to_owned()),
        ("PAYSHACK_EMAIL", "reseller@example.com".to_owned()),
        ("PAYSHACK_PASSWORD", "word".to_owned()),
        ("AUTH", "off".to_owned()),
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", free_port().to_string()),
    ]
}

const LONG_RUNNING: [(Program, &str); 3] =
    [(Program::Psp, "web"), (Program::Jobs, "worker"), (Program::Jobs, "scheduler")];

#[test]
fn every_command_has_help_and_a_version() {
    for (program, commands) in [
        (Program::Psp, &["web", "migrate", "openapi", "keys", "check", "erase"][..]),
        (Program::Jobs, &["worker", "scheduler", "enqueue", "quarantine"][..]),
        (Program::Sandbox, &[][..]),
    ] {
        let help = run(program, &["--help"], NO_SETTINGS);
        assert!(help.status.success(), "{help:?}");
        for command in commands {
            assert!(help.stdout.contains(command), "{program:?} --help does not name {command}: {}", help.stdout);
            let help = run(program, &[command, "--help"], NO_SETTINGS);
            assert!(help.status.success() && help.stdout.contains("Usage"), "{help:?}");
        }
        let version = run(program, &["--version"], NO_SETTINGS);
        assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
        let unknown = run(program, &["--no-such-thing"], NO_SETTINGS);
        assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
        assert!(unknown.stderr.contains("--no-such-thing"), "{unknown:?}");
    }
}

#[test]
fn missing_and_invalid_settings_are_all_named_in_one_message() {
    for (program, command) in LONG_RUNNING {
        let output = run(program, &[command], [("PORT", "http".to_owned())]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let expected: &[&str] = match program {
            Program::Psp => &["DATABASE_URL", "REDIS_URL", "PORT"],
            _ => &["DATABASE_URL", "REDIS_URL", "VIMA_BASE_URL", "VIMA_API_KEY", "PAYSHACK_EMAIL", "PAYSHACK_PASSWORD"],
        };
        for name in expected {
            assert!(output.stderr.contains(name), "{command} does not name {name}: {}", output.stderr);
        }
    }
}

#[tokio::test]
async fn unreachable_database_is_named_without_its_password() {
    let servers = Servers::start().await;
    let unreachable = format!("postgres://psp:s3cret@127.0.0.1:{}/psp", free_port());
    for (program, command) in LONG_RUNNING {
        let output = run(program, &[command], complete_settings(&unreachable, &servers.redis_url));
        assert_refused_start(&output, "DATABASE_URL");
    }
}

/// An unreachable Redis does not prevent the start (`provider_coordination`); one that refuses the credentials does.
#[tokio::test]
async fn refused_redis_password_is_named_without_showing_it() {
    let redis = PrivateRedis::start().await;
    let servers = Servers::with_redis(&redis).await;
    let () = redis.command("CONFIG SET requirepass right").await;
    let with_wrong = servers.redis_url.replacen("redis://", "redis://:s3cret@", 1);
    for (program, command) in LONG_RUNNING {
        let output = run(program, &[command], complete_settings(&servers.database_url, &with_wrong));
        assert_refused_start(&output, "REDIS_URL");
    }
}

fn assert_refused_start(output: &Output, setting: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains(setting), "{output:?}");
    assert!(!output.stderr.contains("s3cret") && !output.stderr.contains("panicked"), "{output:?}");
}

#[tokio::test]
async fn outdated_schema_prevents_the_start() {
    let servers = Servers::start_empty().await;
    for (program, command) in LONG_RUNNING {
        let output = run(program, &[command], complete_settings(&servers.database_url, &servers.redis_url));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains("psp migrate"), "{command}: {}", output.stderr);
    }
}

#[tokio::test]
async fn port_in_use_is_named() {
    let servers = Servers::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port().to_string();
    let settings =
        complete_settings(&servers.database_url, &servers.redis_url).into_iter().chain([("PORT", port.clone())]);
    let output = run(Program::Psp, &["web"], settings);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains(&port), "{output:?}");
}

#[tokio::test]
async fn web_without_api_keys_starts_only_with_auth_off() {
    let servers = Servers::start().await;
    let settings = complete_settings(&servers.database_url, &servers.redis_url);
    let settings = settings.into_iter().filter(|(name, _)| *name != "AUTH");
    let output = run(Program::Psp, &["web"], settings);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("API_KEYS") && output.stderr.contains("AUTH=off"), "{output:?}");
}

#[test]
fn unsafe_settings_prevent_the_start() {
    let unreachable = ("postgres://psp@127.0.0.1:1/psp", "redis://127.0.0.1:1");
    for (setting, value, problem) in [
        ("HOST", "0.0.0.0", "AUTH_OFF_ALLOW_REMOTE=true"),
        ("API_KEYS", "dashboard:viewer:made-up-key-of-32-characters-or-so", "API_KEYS: has a key from an example"),
        ("DATABASE_URL", "postgres://psp:made-up-password@db.example.com/psp", "an example that anyone can read"),
    ] {
        let settings = complete_settings(unreachable.0, unreachable.1).into_iter().chain([(setting, value.to_owned())]);
        let output = run(Program::Psp, &["web"], settings);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains(problem), "{setting}: {output:?}");
    }
    let insecure = [("VIMA_BASE_URL", "http://vima.example.com".to_owned())];
    let settings = complete_settings(unreachable.0, unreachable.1).into_iter().chain(insecure);
    let output = run(Program::Jobs, &["worker"], settings);
    assert!(output.stderr.contains("ALLOW_INSECURE_PROVIDER_URLS=true"), "{output:?}");
}

#[tokio::test]
async fn open_access_is_for_own_pages_only() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web_with(&[("AUTH", "off")]).await;
    let own = format!("http://127.0.0.1:{}", web.port);
    let pause = "/api/v1/queues/sync/pause";
    for (path, headers, status) in [
        (pause, &[("origin", "https://attacker.example")][..], 403),
        (pause, &[("host", "attacker.example")], 403),
        (pause, &[("origin", own.as_str())], 200),
        (pause, &[], 200),
    ] {
        let response = web.post_with(path, headers, "").await;
        assert_eq!(response.status, status, "{headers:?}: {}", response.text);
    }
    let me = web.download("", "/api/v1/me", &[("host", "attacker.example")]).await;
    assert_eq!(me.status(), 403, "a page that resolves its own name to 127.0.0.1 reads nothing");
    assert_eq!(web.request(Method::GET, "/api/v1/me", None, None).await.expect("a response").status, 200);
    Socket::connect(&web.socket()).await.receive("connected").await;
    assert_eq!(Socket::refused_status_from(&web.socket(), "https://attacker.example").await, 403);
}
