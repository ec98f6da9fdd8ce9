//! Migrations: named by what they do, applied to an empty database, safe concurrently and repeatedly, and reported if missing.

use std::fs;
use std::time::Duration;

use psp_dashboard::db::jobs::claims::{Claimer, claim};
use psp_dashboard::db::migrate::{MIGRATIONS, SchemaState, migrate, schema_state};
use psp_dashboard::domain::job::{JobKind, Priority};
use sqlx::{AssertSqlSafe, Executor};

use crate::harness::programs::{Program, run};
use crate::harness::servers::{Servers, number};

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

/// With payments in the tables, since some migrations enqueue a job only then.
#[tokio::test]
async fn every_job_that_a_migration_enqueues_can_be_claimed() {
    let servers = Servers::start_empty().await;
    let pool = servers.pool().await;
    for (position, migration) in MIGRATIONS.iter().enumerate() {
        pool.execute(migration.sql.clone()).await.unwrap_or_else(|error| panic!("{}: {error}", migration.description));
        if position == 0 {
            pool.execute(
                "INSERT INTO transactions (id, source, kind, source_id, content_hash, amount, currency, status, created_at,
                                           ingested_at, raw_data)
                 VALUES (gen_random_uuid(), 'vima', 'payin', '1', '', 1, 'INR', 'success', now(), now(), '{}')",
            )
            .await
            .expect("the first migration creates the table of payments");
        }
    }
    let enqueued = number(&pool, "SELECT count(*) FROM jobs").await;
    assert!(enqueued > 0, "the migration that creates the metric cells enqueues a job");
    // Of jobs that share a limit, one is claimed at a time.
    pool.execute("UPDATE jobs SET due_at = now(), limit_key = NULL").await.expect("the jobs table responds");
    let queues: Vec<String> = JobKind::queues().into_iter().map(str::to_owned).collect();
    let worker = Claimer { queues: &queues, worker: "w", lease: Duration::from_mins(1), suspects: None };
    let jobs = claim(&pool, &worker, 100).await.expect("the jobs table responds").jobs;
    assert_eq!(i64::try_from(jobs.len()), Ok(enqueued), "{jobs:?}");
    for job in jobs {
        let kind = JobKind::from_name(&job.kind).unwrap_or_else(|| panic!("{job:?} is of no known kind"));
        assert!(job.max_attempts <= kind.max_attempts, "{job:?}");
    }
}

#[tokio::test]
async fn only_priorities_that_workers_claim_are_accepted() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    for priority in -1..=30_i16 {
        let insert = format!(
            "INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at)
             VALUES (gen_random_uuid(), 'housekeeping', '{{}}', 'maintenance', {priority}, 'queued', 'cli', now(), 1, now())"
        );
        let is_known = Priority::ALL.iter().any(|known| *known as i16 == priority);
        assert_eq!(pool.execute(AssertSqlSafe(insert)).await.is_ok(), is_known, "{priority}");
    }
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
