//! PostgreSQL, Redis and logging: what every process needs.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::{EnvVars, Setting, Switch, TracesConfig, number_in, published};
use crate::db::settings::DatabaseSettings;
use crate::domain::loopback::is_loopback;
use crate::redis::address::RedisAddress;
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
        let replicas = read_replicas(env);
        is_own?;
        Some(DatabaseSettings {
            options: options?.0,
            replicas: replicas?,
            max_connections: max_connections?,
            request_statement: Duration::from_secs(statement?.into()),
        })
    }

    fn read_redis(env: &mut EnvVars) -> Option<RedisSettings> {
        let address = read_redis_address(env);
        let insecure = env.optional(Setting::open("REDIS_TLS_INSECURE", "true"), Switch(false));
        let namespace = env.optional(Setting::open("REDIS_NAMESPACE", "psp"), "psp".to_owned());
        let address = address?;
        let address = if insecure?.0 { address.with_any_certificate() } else { address };
        Some(RedisSettings { address, namespace: namespace? })
    }
}

fn read_redis_address(env: &mut EnvVars) -> Option<RedisAddress> {
    let setting = Setting::secret("REDIS_URL", "redis://localhost:6379");
    let text = env.required::<String>(setting)?;
    let address: RedisAddress = match text.parse() {
        Ok(address) => address,
        Err(error) => {
            // The error contains no part of the URL.
            env.error(setting, Some(&text), &error.to_string());
            return None;
        }
    };
    if !address.hosts().all(is_loopback) {
        for password in address.passwords() {
            published::refuse_published(env, setting, password)?;
        }
    }
    Some(address)
}

/// The addresses of `DATABASE_READ_URL`, separated by commas; none if it is not set.
fn read_replicas(env: &mut EnvVars) -> Option<Vec<PgConnectOptions>> {
    let setting = Setting::secret("DATABASE_READ_URL", "postgres://psp:password@replica-1:5432/psp,postgres://…");
    let all = env.text(setting.name).unwrap_or_default();
    let urls = all.split(',').map(str::trim).filter(|text| !text.is_empty());
    let replicas: Vec<Option<PgConnectOptions>> = urls
        .map(|text| {
            let url: Option<DatabaseUrl> = env.parse(setting, text);
            published::refuse_password_of(env, setting, text)?;
            Some(url?.0)
        })
        .collect();
    replicas.into_iter().collect()
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
            ("REDIS_URL", "redis+sentinel://:made-up-password@127.0.0.1,localhost/psp", true),
            ("REDIS_URL", "redis+sentinel://:made-up-password@127.0.0.1,redis.example.com/psp", false),
            ("REDIS_URL", "redis+sentinel://redis.example.com/psp?sentinel_password=made-up-password", false),
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
            ("redis://localhost", "true", Some(false)),
            ("rediss://:word@redis.example:6380/0", "", Some(false)),
            ("rediss://:word@redis.example:6380/0", "true", Some(true)),
            ("rediss://:word@redis.example:6380/0?ssl_cert_reqs=none", "", Some(true)),
            ("rediss://:word@redis.example:6380/0?ssl_cert_reqs=required", "true", Some(true)),
            ("rediss+sentinel://:word@redis.example/psp", "true", Some(true)),
            ("rediss://:word@redis.example:6380/0?ssl_cert_reqs=sometimes", "", None),
        ] {
            let mut env = EnvVars::from_pairs([("REDIS_URL", url), ("REDIS_TLS_INSECURE", insecure)]);
            let read = ServersConfig::read_redis(&mut env);
            let accepts = env.finish(read).ok().map(|redis| redis.address.accepts_any_certificate());
            assert_eq!(accepts, expected, "{url} {insecure}");
        }
    }

    #[test]
    fn wrong_redis_url_is_reported_with_the_form_and_without_its_password() {
        let mut env = EnvVars::from_pairs([("REDIS_URL", "redis+sentinel://:s3cret@one,two")]);
        let read = ServersConfig::read_redis(&mut env);
        let message = env.finish(read).expect_err("no service").to_string();
        assert!(message.contains("REDIS_URL does not") || message.contains("/service"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}
