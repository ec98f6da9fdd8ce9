//! Who may use the web process, and from which origins.

use std::collections::HashSet;
use std::str::FromStr;

use super::sign_in::{self, OidcConfig, PublicUrl};
use super::{EnvVars, Setting, Switch, parts, published};
use crate::domain::access::Role;
use crate::domain::access::key::KeyEnvironment;
use crate::domain::loopback::is_loopback;
use crate::domain::secret::Secret;

const MIN_KEY_LENGTH: usize = 16;
/// A random key has more, even in hexadecimal.
const MIN_DISTINCT: usize = 6;
/// `psp check` warns about shorter keys: as long as 128 random bits in hexadecimal.
const RECOMMENDED_KEY_LENGTH: usize = 32;
/// All addresses of the machine; with `AUTH=off` only this machine.
const EVERYWHERE: &str = "0.0.0.0";
const THIS_MACHINE: &str = "127.0.0.1";

/// A key given by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapKey {
    pub name: String,
    pub role: Role,
    pub key: Secret,
}

impl BootstrapKey {
    /// Whether it is shorter than recommended.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.key.expose().len() < RECOMMENDED_KEY_LENGTH
    }
}

impl FromStr for BootstrapKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().splitn(3, ':');
        let (Some(name), Some(role), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("is not of the form name:role:key".to_owned());
        };
        if name.is_empty() || key.len() < MIN_KEY_LENGTH {
            return Err(format!("needs a name, and a key of at least {MIN_KEY_LENGTH} characters"));
        }
        if published::is_published(key) {
            return Err("has a key from an example, which anyone can read".to_owned());
        }
        if key.chars().collect::<HashSet<_>>().len() < MIN_DISTINCT {
            return Err(format!("has a key with fewer than {MIN_DISTINCT} different characters, which can be guessed"));
        }
        let role = Role::from_name(role).ok_or("has a role other than viewer, operator, admin")?;
        Ok(Self { name: name.to_owned(), role, key: Secret::new(key) })
    }
}

#[derive(Debug, Clone)]
pub struct AccessConfig {
    /// Everyone has full access (`AUTH=off`).
    pub open: bool,
    pub keys: Vec<BootstrapKey>,
    /// Of the keys that are created.
    pub key_environment: KeyEnvironment,
    /// Compared exactly.
    pub allowed_origins: Vec<String>,
    pub public_url: Option<PublicUrl>,
    /// `None` if people cannot sign in at an identity provider.
    pub oidc: Option<OidcConfig>,
}

impl AccessConfig {
    /// Reads `AUTH`, `API_KEYS`, `API_KEY_ENVIRONMENT`, `CORS_ALLOWED_ORIGINS`, `PUBLIC_URL` and what begins with `OIDC_`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let open = env.optional(Setting::open("AUTH", "required"), Auth::Required);
        let setting = Setting::secret("API_KEYS", "name:viewer:KEY, where KEY comes from: openssl rand -hex 32");
        let listed = env.text("API_KEYS").unwrap_or_default();
        let keys: Option<Vec<BootstrapKey>> =
            parts(&listed).map(|text| parse_key(env, setting, text)).collect::<Vec<_>>().into_iter().collect();
        let key_environment = Self::read_key_environment(env);
        let origins = env.text("CORS_ALLOWED_ORIGINS").unwrap_or_default();
        let allowed_origins = parts(&origins).map(str::to_owned).collect();
        let public_url = sign_in::read_public_url(env);
        let oidc = OidcConfig::read(env, public_url.as_ref().and_then(Option::as_ref));
        Some(Self {
            open: open? == Auth::Off,
            keys: keys?,
            key_environment: key_environment?,
            allowed_origins,
            public_url: public_url?,
            oidc: oidc?,
        })
    }

    pub fn read_key_environment(env: &mut EnvVars) -> Option<KeyEnvironment> {
        env.optional(Setting::open("API_KEY_ENVIRONMENT", "live"), KeyEnvironment::Live)
    }
}

/// Unlike [`EnvVars::parse`], says what is wrong with a secret: these problems do not contain it.
fn parse_key(env: &mut EnvVars, setting: Setting, text: &str) -> Option<BootstrapKey> {
    text.parse().map_err(|problem: String| env.error(setting, Some(text), &problem)).ok()
}

/// Reads `HOST` and `AUTH_OFF_ALLOW_REMOTE`: with `AUTH=off` only this machine is listened to, unless both settings say otherwise.
pub(super) fn read_host(env: &mut EnvVars, access: Option<&AccessConfig>) -> Option<String> {
    let is_open = access.is_some_and(|access| access.open);
    let default = if is_open { THIS_MACHINE } else { EVERYWHERE };
    let setting = Setting::open("HOST", THIS_MACHINE);
    let host = env.optional(setting, default.to_owned())?;
    let allowed = env.optional(Setting::open("AUTH_OFF_ALLOW_REMOTE", "true"), Switch(false))?;
    if is_open && !allowed.0 && !is_loopback(&host) {
        let problem = "would let anyone who reaches this address read and change everything, because AUTH=off: listen to this \
                       machine only, or set AUTH_OFF_ALLOW_REMOTE=true if the network lets nobody else in";
        env.error(setting, Some(&host), problem);
        return None;
    }
    Some(host)
}

/// `HOST` for a program that serves nothing but its metrics.
pub(super) fn read_listening_host(env: &EnvVars) -> String {
    env.text("HOST").unwrap_or_else(|| EVERYWHERE.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auth {
    Required,
    Off,
}

impl FromStr for Auth {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "required" => Ok(Self::Required),
            "off" => Ok(Self::Off),
            _ => Err("must be required or off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_published_keys_are_refused() {
        for (key, problem) in [
            ("0123456789abcdef", None),
            ("correct-horse-battery-staple", None),
            ("0123456789abcde", Some("at least 16")),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Some("different characters")),
            ("1212312312312312", Some("different characters")),
            ("made-up-key-of-32-characters-or-so", Some("from an example")),
            ("a-long-random-text", Some("from an example")),
        ] {
            let read = format!("dashboard:viewer:{key}").parse::<BootstrapKey>();
            match problem {
                None => assert!(read.is_ok(), "{key}: {read:?}"),
                Some(problem) => assert!(read.expect_err(key).contains(problem), "{key}"),
            }
        }
    }

    #[test]
    fn open_access_is_for_this_machine_only() {
        for (auth, host, allow, expected) in [
            ("required", "", "", Some("0.0.0.0")),
            ("required", "10.0.0.7", "", Some("10.0.0.7")),
            ("off", "", "", Some("127.0.0.1")),
            ("off", "localhost", "", Some("localhost")),
            ("off", "::1", "", Some("::1")),
            ("off", "0.0.0.0", "", None),
            ("off", "10.0.0.7", "false", None),
            ("off", "0.0.0.0", "true", Some("0.0.0.0")),
            ("off", "", "true", Some("127.0.0.1")),
        ] {
            let mut env = EnvVars::from_pairs([("AUTH", auth), ("HOST", host), ("AUTH_OFF_ALLOW_REMOTE", allow)]);
            let access = AccessConfig::read(&mut env);
            let read = read_host(&mut env, access.as_ref());
            assert_eq!(read.as_deref(), expected, "{auth} {host} {allow}");
            let errors = env.finish(read).map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(errors.contains("AUTH_OFF_ALLOW_REMOTE"), expected.is_none(), "{errors}");
        }
    }
}
