//! The roles of `deploy/postgresql/roles.sql`: each program of a test connects as the role that it has in production, so that a
//! statement which needs more fails a test.

use sqlx::{AssertSqlSafe, Executor, PgPool};
use url::Url;

const ROLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/postgresql/roles.sql");

/// Roles that can log in, which belong to the server and stay there. Their sessions must be visible to the owner, who counts and
/// ends them in tests.
const LOGINS: &str = "
    DO $$
    DECLARE
        login record;
    BEGIN
        FOR login IN SELECT * FROM (VALUES ('psp_test_web', 'psp_web'), ('psp_test_worker', 'psp_worker')) AS it (name, role) LOOP
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login.name) THEN
                EXECUTE format('CREATE ROLE %I LOGIN PASSWORD ''word'' IN ROLE %I', login.name, login.role);
            END IF;
        END LOOP;
    END
    $$;
    GRANT psp_test_web, psp_test_worker TO CURRENT_USER";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Web,
    Worker,
}

impl Role {
    /// `url` as this role.
    pub(crate) fn url(self, url: &str) -> String {
        let name = match self {
            Self::Web => "psp_test_web",
            Self::Worker => "psp_test_worker",
        };
        let mut url = Url::parse(url).expect("a URL");
        url.set_username(name).and_then(|()| url.set_password(Some("word"))).expect("a URL with a host");
        url.to_string()
    }
}

/// Creates the roles, and grants their rights in this database.
pub(crate) async fn create(pool: &PgPool) {
    let roles = std::fs::read_to_string(ROLES).expect("a file of this repository");
    for statements in [roles, LOGINS.to_owned()] {
        pool.execute(AssertSqlSafe(statements)).await.expect("the owner of the database may create roles");
    }
}
