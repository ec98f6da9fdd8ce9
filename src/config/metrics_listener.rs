//! The port for Prometheus.

use super::{EnvVars, Setting, number_in};

/// Where a process serves its metrics without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsListenerConfig {
    pub host: String,
    pub port: u16,
}

impl MetricsListenerConfig {
    /// Reads `METRICS_PORT`; `Some(None)` if it is not set. `port` is the one that the process serves requests on.
    #[expect(clippy::option_option, reason = "the outer option says whether the setting is valid, as in every reader")]
    pub(super) fn read(env: &mut EnvVars, host: &str, port: Option<u16>) -> Option<Option<Self>> {
        let setting = Setting::open("METRICS_PORT", "9464");
        if env.text(setting.name).is_none() {
            return Some(None);
        }
        let found = u16::try_from(number_in(env, setting, 0, 1..=u32::from(u16::MAX))?).ok()?;
        if Some(found) == port {
            env.error(
                setting,
                Some(&found.to_string()),
                "must not be PORT: metrics need no key, so they have a port of their own",
            );
            return None;
        }
        Some(Some(Self { host: host.to_owned(), port: found }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_a_free_one() {
        for (text, expected) in [
            ("", Ok(None)),
            ("9464", Ok(Some(9464))),
            ("0", Err("must be from 1 to 65535")),
            ("65536", Err("must be from 1 to 65535")),
            ("metrics", Err("cannot be read")),
            ("8000", Err("must not be PORT")),
        ] {
            let mut env = EnvVars::from_pairs([("METRICS_PORT", text)]);
            let read = MetricsListenerConfig::read(&mut env, "127.0.0.1", Some(8000));
            match (env.finish(read), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read.map(|read| read.port), expected, "{text}"),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{text}: {error}"),
                (read, expected) => panic!("{text}: {read:?}, expected {expected:?}"),
            }
        }
    }
}
