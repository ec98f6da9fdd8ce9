//! Migrations: named by what they do, applied to an empty database, safe concurrently and repeatedly, and reported if missing.

use std::fs;

use psp_dashboard::db::pool::{MIGRATIONS, SchemaState, migrate, schema_state};

use crate::harness::programs::{Program, run};
use crate::harness::servers::Servers;

#[test]
fn migration_names_are_verb_and_noun() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder of migrations")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned())
        .collect();
    names.sort();
    assert_eq!(names.len(), MIGRATIONS.iter().count(), "every file is a migration");
    for name in names {
        let (time, rest) = name.split_once('_').expect("a time, then what it does");
        assert!(time.len() == 14 && time.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
        let verb = rest.split('_').next().unwrap_or_default();
        let verbs = ["create", "add", "drop", "alter", "rename", "fill", "index"];
        assert!(verbs.contains(&verb), "{name}: {verb} is no verb of a migration");
    }
}

#[tokio::test]
async fn concurrent_migrations_apply_each_once() {
    let servers = Servers::start_empty().await;
    let pool = servers.pool().await;
    let needed = MIGRATIONS.iter().count();
    assert_eq!(schema_state(&pool).await.expect("a response"), SchemaState::Behind(needed));
    let (first, second) = tokio::join!(migrate(&pool), migrate(&pool));
    first.and(second).expect("both succeed");
    assert_eq!(schema_state(&pool).await.expect("a response"), SchemaState::Ready);
}

#[tokio::test]
async fn migrate_is_idempotent() {
    let servers = Servers::start_empty().await;
    for _ in 0..2 {
        let ended = run(Program::Psp, &["migrate"], [("DATABASE_URL", servers.database_url.clone())]);
        assert!(ended.status.success(), "{ended:?}");
    }
    assert_eq!(schema_state(&servers.pool().await).await.expect("a response"), SchemaState::Ready);
}
