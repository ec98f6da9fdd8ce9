//! PostgreSQL, Redis and logging: what every process needs.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::{EnvVars, Setting, Switch, number_in};
use crate::db::pool::DatabaseSettings;
use crate::domain::secret::Secret;
use crate::redis::connection::RedisSettings;

#[derive(Debug, Clone)]
pub struct ServersConfig {
    pub database: DatabaseSettings,
    pub redis: RedisSettings,
}

impl ServersConfig {
    /// Reads the settings of [`Self::read_database`], `REDIS_URL`, `REDIS_TLS_INSECURE` and `REDIS_NAMESPACE`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let database = Self::read_database(env);
        let redis = Self::read_redis(env);
        Some(Self { database: database?, redis: redis? })
    }

    /// Reads only `DATABASE_URL`, `DATABASE_MAX_CONNECTIONS` and `DATABASE_STATEMENT_TIMEOUT_SECONDS`, which is all that
    /// migrations need.
    pub fn read_database(env: &mut EnvVars) -> Option<DatabaseSettings> {
        let options =
            env.required::<DatabaseUrl>(Setting::secret("DATABASE_URL", "postgres://psp:password@localhost:5432/psp"));
        let setting = Setting::open("DATABASE_MAX_CONNECTIONS", "10");
        let max_connections = match env.text(setting.name) {
            Some(text) => env.parse(setting, &text).map(Some),
            None => Some(None),
        };
        let statement = Setting::open("DATABASE_STATEMENT_TIMEOUT_SECONDS", "15");
        let statement = number_in(env, statement, 15, 1..=3_600);
        Some(DatabaseSettings {
            options: options?.0,
            max_connections: max_connections?,
            request_statement: Duration::from_secs(statement?.into()),
        })
    }

    fn read_redis(env: &mut EnvVars) -> Option<RedisSettings> {
        let url = env.required::<RedisUrl>(Setting::secret("REDIS_URL", "redis://localhost:6379"));
        let insecure = env.optional(Setting::open("REDIS_TLS_INSECURE", "true"), Switch(false));
        let namespace = env.optional(Setting::open("REDIS_NAMESPACE", "psp"), "psp".to_owned());
        Some(RedisSettings { url: url?.0, tls_insecure: insecure?.0, namespace: namespace? })
    }
}

/// Also accepts the form of the service that this one replaces (`postgresql+asyncpg://`, `ssl=`).
struct DatabaseUrl(PgConnectOptions);

impl FromStr for DatabaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text
            .replacen("postgresql+asyncpg://", "postgresql://", 1)
            .replace("?ssl=", "?sslmode=")
            .replace("&ssl=", "&sslmode=");
        if !plain.starts_with("postgres://") && !plain.starts_with("postgresql://") {
            return Err("is not a postgres:// URL");
        }
        let options = plain.parse::<PgConnectOptions>().map_err(|_| "is not a postgres:// URL")?;
        // PgBouncer refuses this parameter unless it is configured otherwise. It concerns only the text of floats.
        Ok(Self(options.extra_float_digits(None)))
    }
}

struct RedisUrl(Secret);

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match redis::Client::open(text) {
            Ok(_) => Ok(Self(Secret::new(text))),
            Err(_) => Err("is not a redis:// or rediss:// URL"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Human-readable.
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

#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// A level or a filter, such as `info` or `warn,psp_dashboard=debug`.
    pub level: String,
    /// `None`: readable on a terminal, JSON otherwise.
    pub format: Option<LogFormat>,
}

impl TelemetryConfig {
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let level = env.optional(Setting::open("LOG_LEVEL", "info"), "info".to_owned());
        let format = match env.text("LOG_FORMAT") {
            Some(text) => env.parse(Setting::open("LOG_FORMAT", "json"), &text).map(Some),
            None => Some(None),
        };
        Some(Self { level: level?, format: format? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asyncpg_urls_are_accepted() {
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
