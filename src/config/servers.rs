//! PostgreSQL, Redis and logging: what every process needs.

use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use sqlx::postgres::PgConnectOptions;

use super::{EnvVars, Setting, Switch, TracesConfig, number_in, published};
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
        let setting = Setting::secret("DATABASE_URL", "postgres://psp:password@localhost:5432/psp");
        let options = env.required::<DatabaseUrl>(setting);
        let is_own = published::refuse_published_password(env, setting);
        let setting = Setting::open("DATABASE_MAX_CONNECTIONS", "10");
        let max_connections = match env.text(setting.name) {
            Some(text) => env.parse(setting, &text).map(Some),
            None => Some(None),
        };
        let statement = Setting::open("DATABASE_STATEMENT_TIMEOUT_SECONDS", "15");
        let statement = number_in(env, statement, 15, 1..=3_600);
        is_own?;
        Some(DatabaseSettings {
            options: options?.0,
            max_connections: max_connections?,
            request_statement: Duration::from_secs(statement?.into()),
        })
    }

    fn read_redis(env: &mut EnvVars) -> Option<RedisSettings> {
        let setting = Setting::secret("REDIS_URL", "redis://localhost:6379");
        let url = env.required::<RedisUrl>(setting);
        let is_own = published::refuse_published_password(env, setting);
        let insecure = env.optional(Setting::open("REDIS_TLS_INSECURE", "true"), Switch(false));
        let namespace = env.optional(Setting::open("REDIS_NAMESPACE", "psp"), "psp".to_owned());
        is_own?;
        let RedisUrl { url, any_certificate } = url?;
        Some(RedisSettings { url, tls_insecure: insecure?.0 || any_certificate, namespace: namespace? })
    }
}

/// Also accepts the form of the service that this one replaces (`postgresql+asyncpg://`, `ssl=`), and the mode that Heroku documents
/// for Node (`no-verify`).
struct DatabaseUrl(PgConnectOptions);

impl FromStr for DatabaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text
            .replacen("postgresql+asyncpg://", "postgresql://", 1)
            .replace("?ssl=", "?sslmode=")
            .replace("&ssl=", "&sslmode=")
            .replace("sslmode=no-verify", "sslmode=require");
        if !plain.starts_with("postgres://") && !plain.starts_with("postgresql://") {
            return Err("is not a postgres:// URL");
        }
        let options = plain.parse::<PgConnectOptions>().map_err(|_| "is not a postgres:// URL")?;
        // PgBouncer refuses this parameter unless it is configured otherwise. It concerns only the text of floats.
        Ok(Self(options.extra_float_digits(None)))
    }
}

/// Also understands the option by which Python programs accept any certificate (`ssl_cert_reqs`).
struct RedisUrl {
    url: Secret,
    any_certificate: bool,
}

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is not a redis:// or rediss:// URL";
        redis::Client::open(text).map_err(|_| WRONG)?;
        let url = Url::parse(text).map_err(|_| WRONG)?;
        let mut any_certificate = false;
        for (_, value) in url.query_pairs().filter(|(name, _)| name == "ssl_cert_reqs") {
            any_certificate = match value.to_ascii_lowercase().trim_start_matches("cert_") {
                "none" => true,
                "optional" | "required" => false,
                _ => return Err("has an ssl_cert_reqs that is not none, optional or required"),
            };
        }
        Ok(Self { url: Secret::new(text), any_certificate })
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
    /// `None`: traces are not exported.
    pub traces: Option<TracesConfig>,
}

impl TelemetryConfig {
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let level = env.optional(Setting::open("LOG_LEVEL", "info"), "info".to_owned());
        let format = match env.text("LOG_FORMAT") {
            Some(text) => env.parse(Setting::open("LOG_FORMAT", "json"), &text).map(Some),
            None => Some(None),
        };
        let traces = TracesConfig::read(env);
        Some(Self { level: level?, format: format?, traces: traces? })
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;

    use super::*;

    #[test]
    fn published_passwords_are_refused_beyond_this_machine() {
        for (name, url, accepted) in [
            ("DATABASE_URL", "postgresql://psp:made-up-password@localhost:5432/psp", true),
            ("DATABASE_URL", "postgresql://psp:made-up-password@db.example.com:5432/psp", false),
            ("DATABASE_URL", "postgresql+asyncpg://psp:made-up-password@db.example.com/psp", false),
            ("DATABASE_URL", "postgresql://psp:kept-to-ourselves@db.example.com/psp", true),
            ("DATABASE_URL", "postgresql://psp@db.example.com/psp", true),
            ("REDIS_URL", "redis://:made-up-password@127.0.0.1:6379/0", true),
            ("REDIS_URL", "rediss://:made-up-password@redis.example.com:6379/0", false),
        ] {
            let local = [("DATABASE_URL", "postgresql://localhost/psp"), ("REDIS_URL", "redis://localhost")];
            let mut env = EnvVars::from_pairs(local.into_iter().chain([(name, url)]));
            let read = ServersConfig::read(&mut env);
            let errors = env.finish(read).map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(errors.is_empty(), accepted, "{url}: {errors}");
            assert!(accepted || errors.contains("anyone can read") && !errors.contains("made-up"), "{errors}");
        }
    }

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

    #[test]
    fn ssl_modes_of_hosts_are_understood() {
        for (query, expected) in [
            // What Heroku sets: encrypted if the server can, without verification.
            ("", Some(PgSslMode::Prefer)),
            ("?sslmode=require", Some(PgSslMode::Require)),
            ("?ssl=require", Some(PgSslMode::Require)),
            ("?sslmode=no-verify", Some(PgSslMode::Require)),
            ("?sslmode=verify-full&sslrootcert=/etc/ca.pem", Some(PgSslMode::VerifyFull)),
            ("?sslmode=disable", Some(PgSslMode::Disable)),
            ("?sslmode=sometimes", None),
        ] {
            let options = format!("postgres://user:word@db.example:5432/psp{query}").parse::<DatabaseUrl>().ok();
            let mode = options.map(|DatabaseUrl(options)| format!("{:?}", options.get_ssl_mode()));
            assert_eq!(mode, expected.map(|mode| format!("{mode:?}")), "{query}");
        }
    }

    #[test]
    fn any_certificate_of_redis_is_accepted_only_on_request() {
        for (url, insecure, expected) in [
            ("rediss://:word@redis.example:6380/0", "", Some(false)),
            ("rediss://:word@redis.example:6380/0", "true", Some(true)),
            ("rediss://:word@redis.example:6380/0?ssl_cert_reqs=none", "", Some(true)),
            ("rediss://:word@redis.example:6380?ssl_cert_reqs=CERT_NONE", "", Some(true)),
            ("rediss://:word@redis.example:6380/0?ssl_cert_reqs=required", "", Some(false)),
            ("rediss://:word@redis.example:6380/0?ssl_cert_reqs=required", "true", Some(true)),
            ("rediss://:word@redis.example:6380/0?ssl_cert_reqs=sometimes", "", None),
        ] {
            let mut env = EnvVars::from_pairs([("REDIS_URL", url), ("REDIS_TLS_INSECURE", insecure)]);
            let read = ServersConfig::read_redis(&mut env);
            assert_eq!(env.finish(read).ok().map(|redis| redis.tls_insecure), expected, "{url} {insecure}");
        }
    }
}
