//! The commands: their help, and one clear message for whatever keeps them from starting.

use crate::harness::programs::{Program, free_port, run};
use crate::harness::servers::Servers;

fn nothing() -> [(&'static str, String); 0] {
    []
}

/// Settings that are complete, of servers that are not there.
fn complete(database: &str, redis: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", database.to_owned()),
        ("REDIS_URL", redis.to_owned()),
        ("VIMA_BASE_URL", "http://127.0.0.1:1/vima".to_owned()),
        ("VIMA_API_KEY", "key".to_owned()),
        ("PAYSHACK_EMAIL", "reseller@example.com".to_owned()),
        ("PAYSHACK_PASSWORD", "word".to_owned()),
        ("AUTH", "off".to_owned()),
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", free_port().to_string()),
    ]
}

const STARTS: [(Program, &str); 3] = [(Program::Psp, "web"), (Program::Jobs, "worker"), (Program::Jobs, "scheduler")];

#[test]
fn every_command_has_help_and_a_version() {
    for (program, commands) in [
        (Program::Psp, &["web", "migrate", "openapi", "keys", "check"][..]),
        (Program::Jobs, &["worker", "scheduler", "enqueue", "quarantine"][..]),
        (Program::Sandbox, &[][..]),
    ] {
        let help = run(program, &["--help"], nothing());
        assert!(help.status.success(), "{help:?}");
        for command in commands {
            assert!(help.stdout.contains(command), "{program:?} --help does not name {command}: {}", help.stdout);
            let help = run(program, &[command, "--help"], nothing());
            assert!(help.status.success() && help.stdout.contains("Usage"), "{help:?}");
        }
        let version = run(program, &["--version"], nothing());
        assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
        let wrong = run(program, &["--no-such-thing"], nothing());
        assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
        assert!(wrong.stderr.contains("--no-such-thing"), "{wrong:?}");
    }
}

#[test]
fn every_missing_setting_is_named_in_one_message() {
    for (program, command) in STARTS {
        let ended = run(program, &[command], [("PORT", "http".to_owned())]);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let needed: &[&str] = match program {
            Program::Psp => &["DATABASE_URL", "REDIS_URL", "PORT"],
            _ => &["DATABASE_URL", "REDIS_URL", "VIMA_BASE_URL", "VIMA_API_KEY", "PAYSHACK_EMAIL", "PAYSHACK_PASSWORD"],
        };
        for name in needed {
            assert!(ended.stderr.contains(name), "{command} does not name {name}: {}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn absent_servers_are_said_by_name_and_without_their_passwords() {
    let servers = Servers::start().await;
    let nowhere = format!("postgres://psp:s3cret@127.0.0.1:{}/psp", free_port());
    let redis_nowhere = format!("redis://:s3cret@127.0.0.1:{}", free_port());
    for (program, command) in STARTS {
        for (settings, name) in [
            (complete(&nowhere, &servers.redis_url), "DATABASE_URL"),
            (complete(&servers.database_url, &redis_nowhere), "REDIS_URL"),
        ] {
            let ended = run(program, &[command], settings);
            assert_eq!(ended.status.code(), Some(1), "{ended:?}");
            assert!(ended.stderr.contains(name), "{command}: {}", ended.stderr);
            assert!(!ended.stderr.contains("s3cret") && !ended.stderr.contains("panicked"), "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn a_schema_that_is_behind_stops_the_start() {
    let servers = Servers::start_empty().await;
    for (program, command) in STARTS {
        let ended = run(program, &[command], complete(&servers.database_url, &servers.redis_url));
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.contains("psp migrate"), "{command}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_port_in_use_is_said() {
    let servers = Servers::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("a bound socket").port().to_string();
    let settings = complete(&servers.database_url, &servers.redis_url).into_iter().chain([("PORT", port.clone())]);
    let ended = run(Program::Psp, &["web"], settings);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&port), "{ended:?}");
}

#[tokio::test]
async fn nothing_is_open_by_accident() {
    let servers = Servers::start().await;
    let settings = complete(&servers.database_url, &servers.redis_url).into_iter().filter(|(name, _)| *name != "AUTH");
    let ended = run(Program::Psp, &["web"], settings);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("API_KEYS") && ended.stderr.contains("AUTH=off"), "{ended:?}");
}
