//! A role of PostgreSQL with a limit of connections, as small plans of database hosts have.

use sqlx::{AssertSqlSafe, Executor};
use url::Url;
use uuid::Uuid;

use crate::harness::test_system::TestSystem;

pub(super) struct LimitedRole {
    name: String,
    /// The database of the system, as this role.
    pub(super) url: String,
}

impl LimitedRole {
    pub(super) async fn create(system: &TestSystem, connections: u32) -> Self {
        let name = format!("psp_role_{}", Uuid::new_v4().simple());
        let statements = format!(
            "CREATE ROLE {name} LOGIN PASSWORD 'word' CONNECTION LIMIT {connections};
             GRANT {name} TO CURRENT_USER;
             GRANT ALL ON SCHEMA public TO {name};
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {name};
             GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name};"
        );
        system.pool.execute(AssertSqlSafe(statements)).await.expect("the role is new");
        let mut url = Url::parse(&system.servers.database_url).expect("a URL");
        url.set_username(&name).expect("a URL with a host");
        url.set_password(Some("word")).expect("a URL with a host");
        Self { name, url: url.to_string() }
    }

    /// Changes the limit.
    pub(super) async fn allow(&self, system: &TestSystem, connections: u32) {
        let statement = format!("ALTER ROLE {} CONNECTION LIMIT {connections}", self.name);
        system.pool.execute(AssertSqlSafe(statement)).await.expect("the role exists");
    }
}
