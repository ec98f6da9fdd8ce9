//! A database and a Redis namespace of a single test.
//!
//! `DATABASE_URL` and `REDIS_URL` name the servers (`scripts/services run` sets them). The schema is migrated once into a
//! template. Each test gets a copy of it, which is dropped at its end. Tests that stop or break servers use private ones
//! ([`super::private_servers`]).

use std::path::Path;
use std::str::FromStr;

use psp_dashboard::db::migrate::migrate;
use psp_dashboard::redis::Redis;
use psp_dashboard::redis::connection::RedisSettings;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tokio::process::Command;
use tokio::sync::OnceCell;
use url::Url;
use uuid::Uuid;

use super::database_roles::{self, Role};
use super::private_servers::{PrivatePostgres, PrivateRedis};
use super::sentinels::MonitoredRedis;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

pub(crate) struct Servers {
    /// As the owner of the database, who may do everything.
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    /// The prefix of all Redis keys of this test.
    pub(crate) namespace: String,
    /// The name of the database to drop; `None` on a private server.
    owned_database: Option<String>,
}

impl Servers {
    /// A migrated database and an empty namespace.
    pub(crate) async fn start() -> Self {
        let template = TEMPLATE.get_or_init(create_template).await;
        Self::from_template(Some(template)).await
    }

    /// A database without any table.
    pub(crate) async fn start_empty() -> Self {
        Self::from_template(None).await
    }

    /// A database that `pg_restore` fills from this dump, as docs/operations/runbook.md describes, and an empty namespace.
    pub(crate) async fn restore(dump: &Path) -> Self {
        let servers = Self::start_empty().await;
        let options = ["--no-owner", "--no-privileges", "--exit-on-error", "--dbname"];
        let mut restoring = Command::new("pg_restore");
        let output = restoring.args(options).arg(&servers.database_url).arg(dump).output().await.expect("pg_restore");
        assert!(output.status.success(), "{output:?}");
        let pool = servers.pool().await;
        database_roles::create(&pool).await;
        pool.close().await;
        servers
    }

    /// Dumps the database into a file.
    pub(crate) async fn dump(&self, file: &Path) {
        let options = ["--format=custom", "--no-owner", "--no-privileges", "--file"];
        let mut dumping = Command::new("pg_dump");
        let output = dumping.args(options).arg(file).arg(&self.database_url).output().await.expect("pg_dump");
        assert!(output.status.success(), "{output:?}");
    }

    /// A migrated database, and a private Redis.
    pub(crate) async fn with_redis(redis: &PrivateRedis) -> Self {
        let mut servers = Self::start().await;
        servers.redis_url = redis.url();
        servers
    }

    /// A migrated database, and a private Redis with sentinels.
    pub(crate) async fn with_sentinels(redis: &MonitoredRedis) -> Self {
        let mut servers = Self::start().await;
        servers.redis_url = redis.url();
        servers
    }

    /// The migrated database of a private PostgreSQL.
    pub(crate) async fn with_postgres(postgres: &PrivatePostgres) -> Self {
        let pool = PgPool::connect(&postgres.url).await.expect("the server has just started");
        migrate(&pool).await.expect("the migrations apply");
        database_roles::create(&pool).await;
        pool.close().await;
        Self {
            database_url: postgres.url.clone(),
            redis_url: setting("REDIS_URL"),
            namespace: new_name(),
            owned_database: None,
        }
    }

    async fn from_template(template: Option<&str>) -> Self {
        let database = new_name();
        let template = template.map(|name| format!(" TEMPLATE {name}")).unwrap_or_default();
        execute(&format!("CREATE DATABASE {database}{template}")).await;
        Self {
            database_url: url_of(&database),
            redis_url: setting("REDIS_URL"),
            namespace: database.clone(),
            owned_database: Some(database),
        }
    }

    /// The database, as web processes connect to it.
    pub(crate) fn web_url(&self) -> String {
        Role::Web.url(&self.database_url)
    }

    /// The database, as `psp-jobs` connects to it.
    pub(crate) fn worker_url(&self) -> String {
        Role::Worker.url(&self.database_url)
    }

    pub(crate) async fn pool(&self) -> PgPool {
        let options = PgPoolOptions::new().max_connections(8);
        options.connect(&self.database_url).await.expect("the database has just been created")
    }

    pub(crate) async fn redis(&self) -> Redis {
        let address = self.redis_url.parse().expect("a valid URL");
        let settings = RedisSettings { address, namespace: self.namespace.clone() };
        Redis::connect(&settings).await.expect("Redis is running")
    }
}

impl Drop for Servers {
    /// Drops the database and closes all connections to it.
    fn drop(&mut self) {
        let Some(database) = self.owned_database.take() else { return };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                // FORCE fails if an autovacuum worker is connected. A plain DROP makes that worker stop, but fails if there are
                // other connections, which FORCE closes.
                let force = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
                if try_execute(&force).await.is_err()
                    && try_execute(&format!("DROP DATABASE IF EXISTS {database}")).await.is_err()
                {
                    execute(&force).await;
                }
            });
        });
        // A database that could not be dropped must not hide why a test failed.
        let _dropped = dropping.join();
    }
}

#[expect(clippy::disallowed_methods, reason = "the caller of the tests sets where the servers are")]
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test`"))
}

fn new_name() -> String {
    format!("psp_test_{}", Uuid::new_v4().simple())
}

fn url_of(database: &str) -> String {
    let mut url = Url::parse(&setting("DATABASE_URL")).expect("DATABASE_URL is a URL");
    url.set_path(database);
    url.to_string()
}

async fn execute(statement: &str) {
    try_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn try_execute(statement: &str) -> Result<(), sqlx::Error> {
    let options = PgConnectOptions::from_str(&setting("DATABASE_URL")).expect("DATABASE_URL is a URL");
    let mut connection: PgConnection = options.connect().await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}

async fn create_template() -> String {
    let name = format!("psp_template_{}", Uuid::new_v4().simple());
    execute(&format!("CREATE DATABASE {name}")).await;
    let pool = PgPool::connect(&url_of(&name)).await.expect("the database has just been created");
    migrate(&pool).await.expect("the migrations apply");
    database_roles::create(&pool).await;
    // A template with open connections cannot be copied.
    pool.close().await;
    name
}

/// The result of a query that returns one number.
#[expect(
    clippy::disallowed_methods,
    reason = "a test query is not part of the program, so it is not checked against the schema"
)]
pub(crate) async fn number(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}
