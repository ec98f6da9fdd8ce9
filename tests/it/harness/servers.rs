//! A database and a Redis namespace for one test.
//!
//! `DATABASE_URL` and `REDIS_URL` name the servers (`scripts/services run` sets them). The schema is migrated once into a
//! template; each test's database is a copy of it, dropped at its end. What a test does to servers of its own
//! ([`super::private`]) no other test feels.

use std::str::FromStr;

use psp_dashboard::db::pool::migrate;
use psp_dashboard::domain::secret::Secret;
use psp_dashboard::redis::Redis;
use psp_dashboard::redis::connection::RedisSettings;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;
use url::Url;
use uuid::Uuid;

use super::private::{PrivatePostgres, PrivateRedis};

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// A database and a Redis namespace.
pub(crate) struct Servers {
    /// The address of the database.
    pub(crate) database_url: String,
    /// The address of Redis.
    pub(crate) redis_url: String,
    /// What all keys of this test begin with.
    pub(crate) namespace: String,
    /// The database on the server of all tests; one of a private server goes with it.
    borrowed: Option<String>,
}

impl Servers {
    /// A migrated database and an empty namespace.
    pub(crate) async fn start() -> Self {
        let template = TEMPLATE.get_or_init(make_template).await;
        Self::copy_of(Some(template)).await
    }

    /// A database without any table.
    pub(crate) async fn start_empty() -> Self {
        Self::copy_of(None).await
    }

    /// A migrated database, beside a Redis of this test alone.
    pub(crate) async fn beside(redis: &PrivateRedis) -> Self {
        let mut servers = Self::start().await;
        servers.redis_url = redis.url();
        servers
    }

    /// The database of a PostgreSQL of this test alone, migrated.
    pub(crate) async fn on(postgres: &PrivatePostgres) -> Self {
        let pool = PgPool::connect(&postgres.url).await.expect("the server was just started");
        migrate(&pool).await.expect("the migrations apply");
        pool.close().await;
        Self {
            database_url: postgres.url.clone(),
            redis_url: setting("REDIS_URL"),
            namespace: format!("psp_test_{}", Uuid::new_v4().simple()),
            borrowed: None,
        }
    }

    async fn copy_of(template: Option<&str>) -> Self {
        let database = format!("psp_test_{}", Uuid::new_v4().simple());
        let template = template.map(|name| format!(" TEMPLATE {name}")).unwrap_or_default();
        administer(&format!("CREATE DATABASE {database}{template}")).await;
        Self {
            database_url: address_of(&database),
            redis_url: setting("REDIS_URL"),
            namespace: database.clone(),
            borrowed: Some(database),
        }
    }

    /// Connections to the database.
    pub(crate) async fn pool(&self) -> PgPool {
        let options = PgPoolOptions::new().max_connections(8);
        options.connect(&self.database_url).await.expect("the database was just made")
    }

    /// The way to Redis.
    pub(crate) async fn redis(&self) -> Redis {
        let settings = RedisSettings {
            url: Secret::new(self.redis_url.clone()),
            tls_insecure: false,
            namespace: self.namespace.clone(),
        };
        Redis::connect(&settings).await.expect("Redis runs")
    }
}

impl Drop for Servers {
    /// Drops the database, with whoever is still connected to it, and this test's keys.
    fn drop(&mut self) {
        let Some(database) = self.borrowed.take() else { return };
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                // The server's own autovacuum cannot be forced away by us, but makes way for a plain drop.
                if try_administer(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await.is_err() {
                    administer(&format!("DROP DATABASE IF EXISTS {database}")).await;
                }
            });
        });
        // A failing test says what failed; a database that is left over says nothing.
        let _cleaned = cleaning.join();
    }
}

#[expect(clippy::disallowed_methods, reason = "where the test servers are is said by whoever started them")]
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test`"))
}

fn address_of(database: &str) -> String {
    let mut address = Url::parse(&setting("DATABASE_URL")).expect("DATABASE_URL is an address");
    address.set_path(database);
    address.to_string()
}

async fn administer(statement: &str) {
    try_administer(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn try_administer(statement: &str) -> Result<(), sqlx::Error> {
    let options = PgConnectOptions::from_str(&setting("DATABASE_URL")).expect("DATABASE_URL is an address");
    let mut connection: PgConnection = options.connect().await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}

async fn make_template() -> String {
    let name = format!("psp_template_{}", Uuid::new_v4().simple());
    administer(&format!("CREATE DATABASE {name}")).await;
    let pool = PgPool::connect(&address_of(&name)).await.expect("the database was just made");
    migrate(&pool).await.expect("the migrations apply");
    // A template with a connection cannot be copied.
    pool.close().await;
    name
}

/// The only value of a query, which a test writes as it needs it.
#[expect(clippy::disallowed_methods, reason = "what a test asks is no part of the program")]
pub(crate) async fn number(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}
