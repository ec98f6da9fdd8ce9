//! Roles, project scopes, and the caller that a key identifies.

pub mod key;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::session::{CurrentSession, SignInMethod};
use super::string_enum::string_enum;

string_enum! {
    /// The permissions of a key. Each role includes the ones before it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
    pub enum Role {
        #[default]
        /// May read, with personal data masked.
        Viewer = "viewer",
        /// May also read personal data, start and retry jobs, and resolve discrepancies.
        Operator = "operator",
        /// May also manage keys, pause queues and read raw payloads.
        Admin = "admin",
    }
}

/// Identifies a caller. Names are for people and may be used twice; an id belongs to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Uuid);

impl KeyId {
    /// Everyone, with `AUTH=off`; also anyone who acted before actions were recorded with a key id.
    pub const ANYONE: Self = Self(Uuid::nil());
    /// A command of an operator, who has the database's credentials instead of a key.
    pub const COMMAND_LINE: Self = Self(Uuid::from_u128(1));
    /// The system itself, for example when a job removes what has expired.
    pub const SYSTEM: Self = Self(Uuid::from_u128(2));
    /// A caller that was not authenticated.
    pub const UNKNOWN: Self = Self(Uuid::from_u128(3));

    /// The id of a key that is not in the table: the same in every process, as long as the key is the same.
    #[must_use]
    pub fn of_digest(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    fn is_anyone(&self) -> bool {
        *self == Self::ANYONE
    }
}

impl Default for KeyId {
    fn default() -> Self {
        Self::ANYONE
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The projects whose payments a caller may see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Option<Vec<String>>", into = "Option<Vec<String>>")]
pub enum ProjectScope {
    /// Also payments without a project.
    #[default]
    All,
    /// Only these, sorted; never empty.
    Only(Vec<String>),
}

impl ProjectScope {
    /// `None`, or an empty list, means all projects.
    #[must_use]
    pub fn new(projects: Option<Vec<String>>) -> Self {
        let mut projects = projects.unwrap_or_default();
        projects.sort_unstable();
        projects.dedup();
        if projects.is_empty() { Self::All } else { Self::Only(projects) }
    }

    /// The list of projects; `None` if it is not limited.
    #[must_use]
    pub fn projects(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Only(projects) => Some(projects),
        }
    }

    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.projects().is_some()
    }

    /// Whether a payment of this project is visible.
    #[must_use]
    pub fn covers(&self, project: Option<&str>) -> bool {
        self.projects().is_none_or(|projects| project.is_some_and(|project| projects.iter().any(|it| it == project)))
    }

    /// Whether everything in `other` is visible.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(_), Self::Only(projects)) => projects.iter().all(|project| self.covers(Some(project))),
        }
    }

    /// Whether there is nothing to store: absent means all projects.
    #[must_use]
    pub fn is_all(&self) -> bool {
        !self.is_limited()
    }

    /// The projects that a filter for `requested` ones may select: those, or without any, the whole scope. Empty means all.
    pub fn select(&self, requested: &[String]) -> Result<Vec<String>, OutOfScope> {
        match (self, requested) {
            (Self::All, _) => Ok(requested.to_vec()),
            (Self::Only(projects), []) => Ok(projects.clone()),
            (Self::Only(projects), _) => match requested.iter().find(|project| !self.covers(Some(project))) {
                Some(_) => Err(OutOfScope { projects: projects.clone() }),
                None => Ok(requested.to_vec()),
            },
        }
    }
}

/// A filter names a project that the key may not see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key is limited to these projects: {}; filter by them, or leave the project out", .projects.join(", "))]
pub struct OutOfScope {
    projects: Vec<String>,
}

/// What the requester of a file could see, and so the least that its readers must be allowed to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAudience {
    pub role: Role,
    #[serde(default, skip_serializing_if = "ProjectScope::is_all")]
    pub scope: ProjectScope,
}

impl From<Option<Vec<String>>> for ProjectScope {
    fn from(projects: Option<Vec<String>>) -> Self {
        Self::new(projects)
    }
}

impl From<ProjectScope> for Option<Vec<String>> {
    fn from(scope: ProjectScope) -> Self {
        scope.projects().map(<[String]>::to_vec)
    }
}

impl fmt::Display for ProjectScope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => out.write_str("all projects"),
            Self::Only(projects) => out.write_str(&projects.join(", ")),
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The identity of the caller, which every check and every record uses.
    #[serde(default, skip_serializing_if = "KeyId::is_anyone")]
    pub key_id: KeyId,
    /// The name of the key, for people.
    pub name: String,
    pub role: Role,
    #[serde(default, skip_serializing_if = "ProjectScope::is_all")]
    pub scope: ProjectScope,
    /// The browser session that the caller was authenticated by; `None` for a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<CurrentSession>,
}

impl Principal {
    /// A caller that was not authenticated.
    #[must_use]
    pub fn unknown() -> Self {
        Self::of_key(KeyId::UNKNOWN, "unknown", Role::Viewer, ProjectScope::All)
    }

    /// The holder of a key.
    #[must_use]
    pub fn of_key(key_id: KeyId, name: impl Into<String>, role: Role, scope: ProjectScope) -> Self {
        Self { key_id, name: name.into(), role, scope, session: None }
    }

    /// Whether the access ends with an API key. That of a user of the identity provider does not.
    #[must_use]
    pub fn depends_on_key(&self) -> bool {
        self.session.is_none_or(|session| session.sign_in == SignInMethod::ApiKey)
    }

    /// Everyone, with `AUTH=off`.
    #[must_use]
    pub fn anyone() -> Self {
        Self::of_key(KeyId::ANYONE, "anyone", Role::Admin, ProjectScope::All)
    }

    /// The audience of a file that this caller requests.
    #[must_use]
    pub fn file_audience(&self) -> FileAudience {
        FileAudience { role: self.role, scope: self.scope.clone() }
    }

    /// Whether the caller may see everything that a file for `audience` may contain.
    #[must_use]
    pub fn may_read_file_of(&self, audience: &FileAudience) -> bool {
        self.role >= audience.role && self.scope.includes(&audience.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(projects: &[&str]) -> ProjectScope {
        ProjectScope::new(Some(projects.iter().map(|&project| project.to_owned()).collect()))
    }

    #[test]
    fn scope_covers_its_projects_only() {
        for (scope, project, covered) in [
            (ProjectScope::All, None, true),
            (ProjectScope::All, Some("a"), true),
            (only(&["a", "b"]), Some("a"), true),
            (only(&["a", "b"]), Some("c"), false),
            (only(&["a", "b"]), None, false),
            (only(&[]), None, true),
        ] {
            assert_eq!(scope.covers(project), covered, "{scope:?} {project:?}");
        }
    }

    #[test]
    fn scope_includes_narrower_scopes() {
        for (scope, other, included) in [
            (ProjectScope::All, only(&["a"]), true),
            (only(&["a"]), ProjectScope::All, false),
            (only(&["a", "b"]), only(&["b"]), true),
            (only(&["a"]), only(&["a", "b"]), false),
        ] {
            assert_eq!(scope.includes(&other), included, "{scope:?} {other:?}");
        }
    }

    #[test]
    fn filter_selects_projects_of_the_scope_only() {
        let names = |projects: &[&str]| projects.iter().map(|&project| project.to_owned()).collect::<Vec<_>>();
        for (scope, requested, selected) in [
            (ProjectScope::All, &[][..], Some(&[][..])),
            (ProjectScope::All, &["a"], Some(&["a"])),
            (only(&["a", "b"]), &[], Some(&["a", "b"])),
            (only(&["a", "b"]), &["b"], Some(&["b"])),
            (only(&["a", "b"]), &["a", "c"], None),
            (only(&["a"]), &[""], None),
        ] {
            let found = scope.select(&names(requested));
            assert_eq!(found.ok(), selected.map(names), "{scope:?} {requested:?}");
        }
    }

    #[test]
    fn file_is_read_by_those_who_may_see_as_much() {
        let principal = |role, scope| Principal { role, scope, ..Principal::anyone() };
        let audience = principal(Role::Operator, only(&["a"])).file_audience();
        for (role, scope, allowed) in [
            (Role::Operator, only(&["a"]), true),
            (Role::Operator, only(&["a", "b"]), true),
            (Role::Admin, ProjectScope::All, true),
            (Role::Viewer, ProjectScope::All, false),
            (Role::Admin, only(&["b"]), false),
        ] {
            assert_eq!(principal(role, scope.clone()).may_read_file_of(&audience), allowed, "{role:?} {scope:?}");
        }
    }

    #[test]
    fn caller_of_an_earlier_release_can_be_read() {
        let text = r#"{"name":"finance","role":"operator"}"#;
        let principal: Principal = serde_json::from_str(text).expect(text);
        assert_eq!((principal.key_id, &principal.scope), (KeyId::ANYONE, &ProjectScope::All));
        assert_eq!(serde_json::to_string(&principal).expect("plain data"), text);
        let limited = Principal { scope: only(&["b", "a"]), ..principal };
        let stored = serde_json::to_string(&limited).expect("plain data");
        assert!(stored.ends_with(r#""scope":["a","b"]}"#), "{stored}");
        assert_eq!(serde_json::from_str::<Principal>(&stored).expect("what was written"), limited);
    }
}
