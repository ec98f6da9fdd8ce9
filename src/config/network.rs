//! How clients reach the web process.

use super::{EnvVars, Setting};
use crate::domain::network::Network;

#[derive(Debug, Clone, Default)]
pub struct NetworkConfig {
    /// The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<Network>,
    /// The names under which clients reach it; none means any.
    pub public_hosts: Vec<String>,
}

impl NetworkConfig {
    /// Reads `TRUSTED_PROXIES` and `PUBLIC_HOSTS`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let setting = Setting::open("TRUSTED_PROXIES", "10.0.0.0/8,192.168.1.7");
        let proxies: Vec<Option<Network>> =
            list(env, setting.name).iter().map(|text| env.parse(setting, text)).collect();
        let public_hosts = list(env, "PUBLIC_HOSTS");
        Some(Self { trusted_proxies: proxies.into_iter().collect::<Option<_>>()?, public_hosts })
    }
}

fn list(env: &EnvVars, name: &str) -> Vec<String> {
    let listed = env.text(name).unwrap_or_default();
    listed.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_as_a_list() {
        let read = |text: &str| {
            let mut env = EnvVars::from_pairs([("TRUSTED_PROXIES", text)]);
            let read = NetworkConfig::read(&mut env);
            env.finish(read).map(|config| config.trusted_proxies.len()).map_err(|error| error.to_string())
        };
        assert_eq!(read(""), Ok(0));
        assert_eq!(read("10.0.0.0/8, fd00::/8 ,"), Ok(2));
        assert!(read("10.0.0.0/8,proxy.internal").is_err_and(|error| error.contains("TRUSTED_PROXIES")));
    }
}
