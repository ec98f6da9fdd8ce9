//! `deploy/postgresql/roles.sql`: what each role may not do. That it may do everything else is tested by all other tests, whose
//! programs connect as these roles.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::harness::database_roles::{self, Role};
use crate::harness::servers::{Servers, number};

/// SQLSTATE of a refusal.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

async fn assert_refused(url: &str, statements: &[&str]) {
    let mut connection = PgConnection::connect(url).await.expect("the role may connect");
    for statement in statements {
        let refused = connection.execute(AssertSqlSafe((*statement).to_owned())).await;
        let code = refused.err().and_then(|error| error.as_database_error()?.code().map(Cow::into_owned));
        assert_eq!(code.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{statement}");
    }
}

#[tokio::test]
async fn roles_may_not_do_more_than_their_programs_need() {
    let servers = Servers::start().await;
    // Idempotent.
    database_roles::create(&servers.pool().await).await;
    let schema = ["CREATE TABLE intruder (id int)", "DROP TABLE events", "ALTER TABLE jobs ADD COLUMN intruder int"];
    let everything = ["TRUNCATE events", "CREATE ROLE intruder", "DELETE FROM _sqlx_migrations"];
    for role in [Role::Web, Role::Worker] {
        let url = role.url(&servers.database_url);
        assert_refused(&url, &schema).await;
        assert_refused(&url, &everything).await;
        assert_refused(&url, &["DELETE FROM transactions", "DELETE FROM discrepancy_changes"]).await;
    }
    let by_web = [
        "UPDATE transactions SET amount = 1",
        "INSERT INTO metric_cells SELECT * FROM metric_cells",
        "UPDATE audit_log SET details = '{}'",
        "DELETE FROM audit_log",
        "UPDATE audit_head SET sequence = 0",
        "SELECT session FROM provider_sessions",
        "DELETE FROM jobs",
        "DELETE FROM queue_minutes",
        "SELECT message FROM refused_logins",
        "UPDATE cursor_key SET key = key",
        "DELETE FROM bulk_action_batches",
        "INSERT INTO bulk_action_skips SELECT * FROM bulk_action_skips",
    ];
    assert_refused(&Role::Web.url(&servers.database_url), &by_web).await;
    let by_worker = [
        "SELECT key FROM cursor_key",
        "UPDATE api_keys SET role = 'admin'",
        "INSERT INTO bulk_actions SELECT * FROM bulk_actions",
        "DELETE FROM api_keys",
        "UPDATE audit_log SET details = '{}'",
    ];
    assert_refused(&Role::Worker.url(&servers.database_url), &by_worker).await;
}

/// Otherwise `psp_worker` could not reconcile any more, until someone runs `roles.sql` again.
#[tokio::test]
async fn a_migration_grants_temporary_tables_to_the_worker_role_of_an_earlier_release() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let may_create = "SELECT has_database_privilege('psp_worker', current_database(), 'TEMPORARY')::int::bigint";
    database_roles::create(&pool).await;
    pool.execute("DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM psp_worker', current_database()); END $$")
        .await
        .expect("the owner may revoke");
    assert_eq!(number(&pool, may_create).await, 0);
    pool.execute(include_str!("../../migrations/20261130010000_add_right_to_temporary_tables.sql"))
        .await
        .expect("a migration");
    assert_eq!(number(&pool, may_create).await, 1);
}
