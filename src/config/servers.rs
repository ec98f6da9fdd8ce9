//! The two servers that every process needs, and how it speaks of itself.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::{EnvVars, Setting, Switch};
use crate::db::pool::DatabaseSettings;
use crate::domain::secret::Secret;
use crate::redis::connection::RedisSettings;

/// PostgreSQL and Redis.
#[derive(Debug, Clone)]
pub struct ServersConfig {
    /// The truth.
    pub database: DatabaseSettings,
    /// Redis.
    pub redis: RedisSettings,
}

impl ServersConfig {
    /// Reads `DATABASE_URL`, `DATABASE_MAX_CONNECTIONS`, `REDIS_URL`, `REDIS_TLS_INSECURE` and `REDIS_NAMESPACE`.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let database = Self::read_database(environment);
        let redis = Self::read_redis(environment);
        Some(Self { database: database?, redis: redis? })
    }

    /// Reads `DATABASE_URL` and `DATABASE_MAX_CONNECTIONS` alone: all that a migration needs.
    pub fn read_database(environment: &mut EnvVars) -> Option<DatabaseSettings> {
        let options = environment
            .required::<DatabaseUrl>(Setting::secret("DATABASE_URL", "postgres://psp:password@localhost:5432/psp"));
        let most = environment.optional(Setting::open("DATABASE_MAX_CONNECTIONS", "10"), 10_u32);
        Some(DatabaseSettings { options: options?.0, max_connections: most?.max(2) })
    }

    fn read_redis(environment: &mut EnvVars) -> Option<RedisSettings> {
        let url = environment.required::<RedisUrl>(Setting::secret("REDIS_URL", "redis://localhost:6379"));
        let insecure = environment.optional(Setting::open("REDIS_TLS_INSECURE", "true"), Switch(false));
        let namespace = environment.optional(Setting::open("REDIS_NAMESPACE", "psp"), "psp".to_owned());
        Some(RedisSettings { url: url?.0, tls_insecure: insecure?.0, namespace: namespace? })
    }
}

/// A database's address, also in the dialect of the service that this one replaces (`postgresql+asyncpg://`).
struct DatabaseUrl(PgConnectOptions);

impl FromStr for DatabaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text
            .replacen("postgresql+asyncpg://", "postgresql://", 1)
            .replace("?ssl=", "?sslmode=")
            .replace("&ssl=", "&sslmode=");
        if !plain.starts_with("postgres://") && !plain.starts_with("postgresql://") {
            return Err("is not a postgres:// address");
        }
        plain.parse().map(Self).map_err(|_| "is not a postgres:// address")
    }
}

/// A Redis server's address.
struct RedisUrl(Secret);

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match redis::Client::open(text) {
            Ok(_) => Ok(Self(Secret::new(text))),
            Err(_) => Err("is not a redis:// or rediss:// address"),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("must be json or pretty"),
        }
    }
}

/// What a process tells of itself.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// Which log lines are written (`info`, or a filter such as `warn,psp_dashboard=debug`).
    pub level: String,
    /// How they look; where nothing is set, it depends on whether somebody watches.
    pub format: Option<LogFormat>,
}

impl TelemetryConfig {
    /// Reads `LOG_LEVEL` and `LOG_FORMAT`.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let level = environment.optional(Setting::open("LOG_LEVEL", "info"), "info".to_owned());
        let format = match environment.text("LOG_FORMAT") {
            Some(text) => environment.parse(Setting::open("LOG_FORMAT", "json"), &text).map(Some),
            None => Some(None),
        };
        Some(Self { level: level?, format: format? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_dialect_of_addresses_is_understood() {
        for text in [
            "postgresql+asyncpg://user:word@db.example:5433/psp",
            "postgres://user:word@db.example:5433/psp?sslmode=require",
            "postgresql+asyncpg://user:word@db.example:5433/psp?ssl=require",
        ] {
            let DatabaseUrl(options) = text.parse().expect(text);
            assert_eq!(
                (options.get_host(), options.get_port(), options.get_database()),
                ("db.example", 5433, Some("psp"))
            );
        }
        assert!("mysql://localhost/psp".parse::<DatabaseUrl>().is_err());
    }
}
