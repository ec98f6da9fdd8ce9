//! Who may use the web process, and from which origins.

use std::str::FromStr;

use super::{EnvVars, Setting};
use crate::domain::access::Role;
use crate::domain::access::key::KeyEnvironment;
use crate::domain::secret::Secret;

/// A key given by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapKey {
    pub name: String,
    pub role: Role,
    pub key: Secret,
}

impl FromStr for BootstrapKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().splitn(3, ':');
        let (Some(name), Some(role), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("is not of the form name:role:key".to_owned());
        };
        if name.is_empty() || key.len() < 16 {
            return Err("needs a name, and a key of at least 16 characters".to_owned());
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
}

impl AccessConfig {
    /// Reads `AUTH`, `API_KEYS`, `API_KEY_ENVIRONMENT` and `CORS_ALLOWED_ORIGINS`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let open = env.optional(Setting::open("AUTH", "required"), Auth::Required);
        let setting = Setting::secret("API_KEYS", "dashboard:viewer:a-long-random-text");
        let listed = env.text("API_KEYS").unwrap_or_default();
        let keys: Option<Vec<BootstrapKey>> =
            parts(&listed).map(|text| env.parse(setting, text)).collect::<Vec<_>>().into_iter().collect();
        let key_environment = Self::read_key_environment(env);
        let origins = env.text("CORS_ALLOWED_ORIGINS").unwrap_or_default();
        let allowed_origins = parts(&origins).map(str::to_owned).collect();
        Some(Self { open: open? == Auth::Off, keys: keys?, key_environment: key_environment?, allowed_origins })
    }

    pub fn read_key_environment(env: &mut EnvVars) -> Option<KeyEnvironment> {
        env.optional(Setting::open("API_KEY_ENVIRONMENT", "live"), KeyEnvironment::Live)
    }
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty())
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
