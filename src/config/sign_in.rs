//! The address that browsers use, and the identity provider at which people sign in.

use std::str::FromStr;

use reqwest::Url;

use super::{EnvVars, Setting, outbound, parts};
use crate::domain::access::Role;
use crate::domain::secret::Secret;
use crate::outbound::Outbound;

const DEFAULT_GROUPS_CLAIM: &str = "groups";
const CALLBACK_PATH: &str = "/api/v1/session/oidc/callback";
const PUBLIC_URL: Setting = Setting::open("PUBLIC_URL", "https://dashboard.example.com");

/// The address of this service as browsers see it: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// As browsers write it in `Origin`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or("must be an http or https URL")?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err("must have no path, query or user: only scheme, host and port");
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

/// An OpenID Connect issuer: its exact text, which its tokens must name too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Plain HTTP is allowed only on this machine, for tests.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for Issuer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| "must be the URL of an OpenID Connect issuer")?;
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        match url.scheme() {
            "https" => Ok(Self(text.to_owned())),
            "http" if is_local => Ok(Self(text.to_owned())),
            _ => Err("must be an https URL"),
        }
    }
}

/// The role of the members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRole {
    group: String,
    role: Role,
}

impl FromStr for GroupRole {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The name of a group may contain `=`.
        let (group, role) = text.rsplit_once('=').ok_or("is not of the form group=role")?;
        let role = Role::from_name(role.trim()).ok_or("has a role other than viewer, operator, admin")?;
        let group = group.trim().to_owned();
        if group.is_empty() { Err("needs the name of a group") } else { Ok(Self { group, role }) }
    }
}

#[derive(Debug, Clone)]
pub struct OidcConfig {
    pub issuer: Issuer,
    pub client_id: String,
    pub client_secret: Secret,
    /// The claim of the ID token that lists the groups of the user.
    pub groups_claim: String,
    pub roles: Vec<GroupRole>,
    /// Where the identity provider sends the browser back to.
    pub redirect_url: String,
    pub outbound: Outbound,
}

impl OidcConfig {
    /// Reads the settings that begin with `OIDC_`; `Some(None)` if there are none.
    pub fn read(env: &mut EnvVars, public_url: Option<&PublicUrl>) -> Option<Option<Self>> {
        if env.with_prefix("OIDC_").iter().all(|(_, value)| value.expose().trim().is_empty()) {
            return Some(None);
        }
        let issuer = env.required(Setting::open("OIDC_ISSUER", "https://login.example.com"));
        let client_id = env.required(Setting::open("OIDC_CLIENT_ID", "psp-dashboard"));
        let client_secret = env.required::<String>(Setting::secret("OIDC_CLIENT_SECRET", "the-secret-of-the-client"));
        let groups_claim =
            env.optional(Setting::open("OIDC_GROUPS_CLAIM", DEFAULT_GROUPS_CLAIM), DEFAULT_GROUPS_CLAIM.to_owned());
        let roles = Setting::open("OIDC_ROLES", "finance=operator,ops=admin");
        let listed = env.required::<String>(roles);
        let roles = listed.and_then(|listed| parts(&listed).map(|part| env.parse(roles, part)).collect());
        if public_url.is_none() && env.text(PUBLIC_URL.name).is_none() {
            env.error(PUBLIC_URL, None, "is required with OIDC_ISSUER");
        }
        let outbound = outbound::read(env);
        Some(Some(Self {
            issuer: issuer?,
            client_id: client_id?,
            client_secret: Secret::new(client_secret?),
            groups_claim: groups_claim?,
            roles: roles?,
            redirect_url: format!("{}{CALLBACK_PATH}", public_url?.origin()),
            outbound: outbound?,
        }))
    }

    /// The highest role of these groups; `None` if none of them has a role.
    #[must_use]
    pub fn role_of(&self, groups: &[String]) -> Option<Role> {
        self.roles.iter().filter(|mapped| groups.contains(&mapped.group)).map(|mapped| mapped.role).max()
    }
}

/// Reads `PUBLIC_URL`; `Some(None)` if it is not set.
#[expect(clippy::option_option, reason = "the outer option says whether the setting is valid, as in every reader")]
pub(super) fn read_public_url(env: &mut EnvVars) -> Option<Option<PublicUrl>> {
    match env.text(PUBLIC_URL.name) {
        Some(text) => env.parse(PUBLIC_URL, &text).map(Some),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 5] = [
        ("PUBLIC_URL", "https://Dash.example.com:443/"),
        ("OIDC_ISSUER", "https://login.example.com/realm"),
        ("OIDC_CLIENT_ID", "psp"),
        ("OIDC_CLIENT_SECRET", "secret"),
        ("OIDC_ROLES", "finance=operator, cn=ops=admin, all=viewer"),
    ];

    fn read(pairs: impl IntoIterator<Item = (&'static str, &'static str)>) -> Result<Option<OidcConfig>, String> {
        let mut env = EnvVars::from_pairs(pairs);
        let public_url = read_public_url(&mut env);
        let oidc = public_url.and_then(|url| OidcConfig::read(&mut env, url.as_ref()));
        env.finish(oidc).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_configured_without_settings() {
        assert!(read([]).expect("valid").is_none());
        assert!(read([("OIDC_ISSUER", " "), ("PUBLIC_URL", "http://localhost:8000")]).expect("valid").is_none());
    }

    #[test]
    fn every_missing_setting_is_named() {
        let error = read([("OIDC_CLIENT_ID", "psp")]).expect_err("incomplete");
        for name in ["OIDC_ISSUER", "OIDC_CLIENT_SECRET", "OIDC_ROLES", "PUBLIC_URL"] {
            assert!(error.contains(&format!("{name}: is required")), "{name}: {error}");
        }
    }

    #[test]
    fn highest_role_of_the_groups_counts() {
        let config = read(COMPLETE).expect("valid").expect("complete");
        assert_eq!(config.redirect_url, "https://dash.example.com/api/v1/session/oidc/callback");
        for (groups, role) in [
            (&[][..], None),
            (&["strangers"], None),
            (&["all", "finance"], Some(Role::Operator)),
            (&["cn=ops", "all"], Some(Role::Admin)),
            (&["Finance"], None),
        ] {
            let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
            assert_eq!(config.role_of(&groups), role, "{groups:?}");
        }
    }

    #[test]
    fn invalid_settings_are_refused() {
        for (name, value) in [
            ("PUBLIC_URL", "dash.example.com"),
            ("PUBLIC_URL", "https://dash.example.com/psp"),
            ("OIDC_ISSUER", "http://login.example.com"),
            ("OIDC_ISSUER", "login"),
            ("OIDC_ROLES", "finance"),
            ("OIDC_ROLES", "finance=root"),
            ("OIDC_ROLES", "=admin"),
        ] {
            let error = read(COMPLETE.into_iter().chain([(name, value)])).expect_err(value);
            assert!(error.contains(&format!("{name}: cannot be read")), "{name}={value}: {error}");
        }
    }
}
