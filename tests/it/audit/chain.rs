//! The chain of entries: concurrent writers keep it sound, tampering is found, and expiry keeps the rest verifiable.

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::access::Principal;
use psp_dashboard::operations::audit::{AuditContext, AuditRecord};
use psp_dashboard::operations::expire_audit::expire_audit;
use psp_dashboard::operations::verify_audit::{AuditPosition, verify_audit};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::harness::programs::{Output, Program, run};
use crate::harness::servers::Servers;
use crate::harness::test_system::TestSystem;

async fn record(pool: &PgPool, number: i64, now: DateTime<Utc>) {
    let record = AuditRecord::succeeded(json!({"number": number})).with_change(json!({"paused": false}), json!("ü"));
    AuditContext::new(Principal::anyone(), "pauseQueue").record(pool, &record, now).await.expect("an entry");
}

/// Verifies the log; the text of the error, or nothing.
async fn error(pool: &PgPool, remembered: Option<&AuditPosition>) -> String {
    verify_audit(pool, remembered).await.err().map(|error| error.to_string()).unwrap_or_default()
}

/// What the owner of the tables can do.
async fn without_triggers(pool: &PgPool, statements: &str) {
    let alter =
        |action| format!("ALTER TABLE audit_log {action} TRIGGER USER; ALTER TABLE audit_head {action} TRIGGER USER");
    let statements = format!("BEGIN; {}; {statements}; {}; COMMIT", alter("DISABLE"), alter("ENABLE"));
    pool.execute(AssertSqlSafe(statements)).await.expect("the owner may");
}

#[tokio::test]
async fn entries_cannot_be_changed_and_tampering_is_found() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let writers = (0..4).map(|writer| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for number in 0..5 {
                record(&pool, writer * 10 + number, SystemClock.now()).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    let verified = verify_audit(&pool, None).await.expect("concurrent writers keep the chain");
    assert_eq!((verified.entries, verified.head.sequence), (20, 20));

    for statement in [
        "UPDATE audit_log SET outcome = 'failed' WHERE sequence = 3",
        "UPDATE audit_log SET details = '{}' WHERE sequence = 3",
        "DELETE FROM audit_log WHERE sequence = 3",
        "DELETE FROM audit_log WHERE sequence = 20",
        "TRUNCATE audit_log",
        "DELETE FROM audit_head",
        "INSERT INTO audit_anchors VALUES (3, '\\x00', 3, now())",
    ] {
        assert!(pool.execute(statement).await.is_err(), "{statement}");
    }
    assert_eq!(error(&pool, Some(&verified.head)).await, "");

    pool.execute("CREATE TABLE kept AS SELECT * FROM audit_log; CREATE TABLE kept_head AS SELECT * FROM audit_head")
        .await
        .expect("a copy");
    for (tamper, expected) in [
        ("UPDATE audit_log SET key_name = 'otto' WHERE sequence = 7", "entry 7 was changed"),
        ("UPDATE audit_log SET recorded_at = recorded_at + interval '1 ms' WHERE sequence = 7", "entry 7 was changed"),
        ("UPDATE audit_log SET details = '{}' WHERE sequence = 7", "the details of entry 7 were changed"),
        ("UPDATE audit_log SET after = NULL WHERE sequence = 7", "the details of entry 7 were changed"),
        ("DELETE FROM audit_log WHERE sequence = 7", "entry 8 does not follow"),
        ("DELETE FROM audit_log WHERE sequence <= 7", "entry 8 does not follow"),
        ("DELETE FROM audit_log WHERE sequence = 20", "the entries after 19 were removed"),
        ("DELETE FROM audit_log", "the entries after 0 were removed: the log had 20"),
        (
            "UPDATE audit_log SET sequence = 100 WHERE sequence = 7; UPDATE audit_log SET sequence = 7 WHERE sequence = 8;
             UPDATE audit_log SET sequence = 8 WHERE sequence = 100",
            "entry 7 does not follow",
        ),
        (
            "DELETE FROM audit_log WHERE sequence = 20;
             UPDATE audit_head SET (sequence, hash) = (SELECT sequence, hash FROM audit_log WHERE sequence = 19)",
            "entry 20 is not in the log",
        ),
    ] {
        let restored = "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept;
                        DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head";
        without_triggers(&pool, &format!("{restored}; {tamper}")).await;
        let found = error(&pool, Some(&verified.head)).await;
        assert!(found.starts_with(expected), "{tamper}: {found}");
    }
}

#[tokio::test]
async fn expired_entries_are_anchored_and_the_rest_stays_verifiable() {
    let system = TestSystem::start(&[]).await;
    let (pool, now) = (&system.pool, SystemClock.now());
    for number in 1..=10 {
        record(pool, number, now - TimeDelta::days(11 - number)).await;
    }
    let remembered = verify_audit(pool, None).await.expect("a chain").head;
    // The entries 1 to 6 are older than 4.5 days; at most four are removed at a time.
    let time = now - TimeDelta::hours(4 * 24 + 12);
    for expected in [4, 2, 0] {
        assert_eq!(expire_audit(pool, time, now, 4).await.expect("entries expire"), expected);
    }
    let verified = verify_audit(pool, Some(&remembered)).await.expect("the rest is a chain");
    let anchor = verified.anchor.expect("an anchor");
    assert_eq!((verified.entries, anchor.sequence, verified.head.sequence), (4 + 2, 6, 12));
    let removals = sqlx::query_scalar!(
        r#"SELECT array_agg(row_count ORDER BY sequence) AS "removed!" FROM audit_log
            WHERE operation = 'expireAuditEntries'"#
    );
    assert_eq!(removals.fetch_one(pool).await.expect("a response"), [4, 2], "a removal is an entry of its own");
    let statement = "DELETE FROM audit_log WHERE sequence = 8";
    assert!(pool.execute(statement).await.is_err(), "what has not expired cannot be deleted");
    without_triggers(pool, statement).await;
    let output = check(&system, &[]);
    assert!(
        !output.status.success() && output.stdout.contains("FAIL  audit log: entry 9 does not follow"),
        "{output:?}"
    );
}

fn check(system: &TestSystem, arguments: &[&str]) -> Output {
    let arguments = [&["check", "--audit"], arguments].concat();
    run(Program::Psp, &arguments, system.settings())
}

#[tokio::test]
async fn check_prints_the_head_and_compares_it_with_an_earlier_one() {
    let system = TestSystem::start(&[]).await;
    record(&system.pool, 1, SystemClock.now()).await;
    let output = check(&system, &[]);
    let head = verify_audit(&system.pool, None).await.expect("a chain").head.to_string();
    assert!(output.status.success() && output.stdout.contains(&format!("its head is {head}")), "{output:?}");
    record(&system.pool, 2, SystemClock.now()).await;
    let output = check(&system, &["--after", &head]);
    assert!(output.status.success() && output.stdout.contains("2 entries form an unbroken chain"), "{output:?}");
    let other = AuditPosition { sequence: 1, hash: vec![7; 32] }.to_string();
    let output = check(&system, &["--after", &other]);
    assert!(!output.status.success() && output.stdout.contains("not the one that you remember"), "{output:?}");
    let output = check(&system, &["--after", "1:2"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
