//! Whether others can read, or pretend to be, the servers that this installation connects to.

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::finding::Finding;
use crate::domain::loopback::is_loopback;
use crate::redis::connection::RedisSettings;

/// `setting` has the address.
pub(super) fn check_database(options: &PgConnectOptions, setting: &str) -> Finding {
    let host = options.get_host();
    let mode = match options.get_ssl_mode() {
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => {
            return Finding::Ok(format!("database: the certificate of {host} is verified"));
        }
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
    };
    if options.get_socket().is_some() || host.starts_with('/') || is_loopback(host) {
        return Finding::Ok("database: the connection does not leave this machine".to_owned());
    }
    Finding::Warning(format!(
        "database: sslmode={mode} does not verify the certificate of {host}, so anyone in between can read and change \
         everything; set sslmode=verify-full in {setting}, with sslrootcert if the host has an authority of its own"
    ))
}

pub(super) fn check_redis(RedisSettings { address, .. }: &RedisSettings) -> Finding {
    let Some(host) = address.hosts().find(|host| !host.is_empty() && !is_loopback(host)) else {
        return Finding::Ok("redis: the connection does not leave this machine".to_owned());
    };
    let problem = if !address.is_encrypted() {
        "is not encrypted; use a rediss:// address in REDIS_URL (rediss+sentinel:// with sentinels)"
    } else if address.accepts_any_certificate() {
        "accepts any certificate; remove REDIS_TLS_INSECURE, or ssl_cert_reqs=none in REDIS_URL, unless its host uses self-signed \
         certificates"
    } else {
        return Finding::Ok(format!("redis: the certificate of {host} is verified"));
    };
    Finding::Warning(format!(
        "redis: the connection to {host} {problem}: anyone in between can read and change what it carries"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::address::RedisAddress;

    #[test]
    fn unverified_connections_beyond_this_machine_are_warned_about() {
        for (url, warning) in [
            ("postgres://psp@127.0.0.1/psp", None),
            ("postgres://psp@localhost/psp?sslmode=disable", None),
            ("postgres://psp@db.example.com/psp", Some("prefer")),
            ("postgres://psp@db.example.com/psp?sslmode=disable", Some("disable")),
            ("postgres://psp@db.example.com/psp?sslmode=require", Some("require")),
            ("postgres://psp@db.example.com/psp?sslmode=verify-ca", None),
            ("postgres://psp@db.example.com/psp?sslmode=verify-full", None),
        ] {
            assert_warning(&check_database(&url.parse().expect(url), "DATABASE_URL"), warning, url);
        }
        for (url, warning) in [
            ("redis://127.0.0.1:6379/0", None),
            ("redis://redis:6379/0", Some("not encrypted")),
            ("rediss://:word@redis.example.com:6380/0", None),
            ("rediss://:word@redis.example.com:6380/0?ssl_cert_reqs=none", Some("any certificate")),
            ("rediss://:word@redis.example.com:6380/#insecure", Some("any certificate")),
            ("redis+sentinel://:word@127.0.0.1,localhost:26380/psp", None),
            ("redis+sentinel://:word@127.0.0.1,redis.example.com/psp", Some("not encrypted")),
            ("rediss+sentinel://:word@redis.example.com/psp", None),
        ] {
            let address: RedisAddress = url.parse().expect(url);
            let settings = RedisSettings { address, namespace: "psp".to_owned() };
            assert_warning(&check_redis(&settings), warning, url);
        }
    }

    fn assert_warning(finding: &Finding, expected: Option<&str>, url: &str) {
        match (finding, expected) {
            (Finding::Ok(_), None) => {}
            (Finding::Warning(message), Some(part)) => {
                assert!(message.contains(part) && !message.contains("word"), "{url}: {message}");
            }
            (Finding::Ok(message) | Finding::Warning(message) | Finding::Failed(message), _) => {
                panic!("{url}: {message}");
            }
        }
    }
}
