//! The shapes of API keys in requests and responses.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

use crate::db::access::api_keys::IssuedKey;
use crate::domain::access::key::{AllowedNetworks, KeyLifetime, KeyName, RotationOverlap};
use crate::domain::access::{Principal, ProjectScope, Role};
use crate::domain::entity_tag::EntityTag;
use crate::operations::api_keys::CreatedKey;
use crate::operations::api_keys::create::KeyRequest;
use crate::operations::api_keys::rotate::RotatedKey;
use crate::web::http::entity_tag::Tagged;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::problem::Problem;
use crate::web::http::schema::{Time, named_enum};

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiKeyOrigin {
    Issued,
    Setting,
}

impl ApiKeyOrigin {
    const ALL: [Self; 2] = [Self::Issued, Self::Setting];

    fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Setting => "setting",
        }
    }
}

named_enum!(
    ApiKeyOrigin,
    "ApiKeyOrigin",
    ApiKeyOrigin::ALL,
    "Where a key comes from: issued by the API or the command line, or a value of the setting `API_KEYS`."
);

/// An API key, without its text.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct ApiKey {
    /// The id of the key.
    id: Uuid,
    /// The owner.
    name: String,
    /// The role of the key.
    role: Role,
    /// The projects whose payments the key may see; null for all.
    projects: Option<Vec<String>>,
    /// The networks from which the key may be used, in CIDR notation; null for all.
    allowed_networks: Option<Vec<String>>,
    /// The first characters of the key; null if it comes from a setting.
    prefix: Option<String>,
    /// Where the key comes from. Keys from the setting can be neither rotated nor revoked here.
    origin: ApiKeyOrigin,
    /// Whether the key has expired.
    expired: bool,
    /// When the key was created.
    created_at: Option<Time>,
    /// The name of the key that created it; the name of the operating-system user if a command did.
    created_by: Option<String>,
    /// When the key expires, or expired; null if it does not expire.
    expires_at: Option<Time>,
    /// When the key was last used, to the minute; null if it never was, and for keys from the setting.
    last_used_at: Option<Time>,
    /// The id of the key that replaces it, if it was rotated.
    replaced_by: Option<Uuid>,
    /// The version, for `If-Match` of a rotation or a revocation: it changes when the key is rotated, not when it is used. Null for
    /// keys from the setting.
    etag: Option<String>,
}

impl Tagged for ApiKey {
    fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }
}

impl ApiKey {
    pub(super) fn issued(key: IssuedKey, now: DateTime<Utc>) -> Self {
        Self {
            expired: key.end(now).is_some(),
            etag: Some(key.etag().to_string()),
            id: key.id,
            name: key.name,
            role: key.role,
            projects: key.scope.into(),
            allowed_networks: key.networks.to_texts(),
            prefix: Some(key.prefix),
            origin: ApiKeyOrigin::Issued,
            created_at: Some(Time(key.created_at)),
            created_by: key.created_by,
            expires_at: key.expires_at.map(Time),
            last_used_at: key.last_used_at.map(Time),
            replaced_by: key.replaced_by,
        }
    }

    pub(super) fn configured(key: &Principal) -> Self {
        Self {
            id: key.key_id.0,
            name: key.name.clone(),
            role: key.role,
            projects: None,
            allowed_networks: None,
            prefix: None,
            origin: ApiKeyOrigin::Setting,
            expired: false,
            created_at: None,
            created_by: None,
            expires_at: None,
            last_used_at: None,
            replaced_by: None,
            etag: None,
        }
    }
}

impl Example for ApiKey {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            name: "finance".to_owned(),
            role: Role::Viewer,
            projects: Some(vec!["monetix".to_owned()]),
            allowed_networks: Some(vec!["203.0.113.0/24".to_owned()]),
            prefix: Some("psp_live_6f0d8c1e".to_owned()),
            origin: ApiKeyOrigin::Issued,
            expired: false,
            created_at: Some(Time(EXAMPLE_TIME)),
            created_by: Some("ada".to_owned()),
            expires_at: None,
            last_used_at: Some(Time(EXAMPLE_TIME)),
            replaced_by: None,
            etag: Some(EntityTag::of_version(1).to_string()),
        }
    }
}

/// The API keys.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct ApiKeys {
    /// Those of the setting `API_KEYS`, then the issued ones that were not revoked, oldest first.
    pub(super) items: Vec<ApiKey>,
}

impl Example for ApiKeys {
    fn example() -> Self {
        Self { items: vec![ApiKey::example()] }
    }
}

/// A new key. The key itself is only in this response.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct NewApiKey {
    /// The key. It cannot be shown again.
    key: String,
    #[oai(flatten)]
    details: ApiKey,
}

impl NewApiKey {
    pub(super) fn new(created: CreatedKey, now: DateTime<Utc>) -> Self {
        Self { key: created.key.expose().to_owned(), details: ApiKey::issued(created.issued, now) }
    }
}

impl Tagged for NewApiKey {
    fn etag(&self) -> Option<&str> {
        self.details.etag()
    }
}

impl Example for NewApiKey {
    fn example() -> Self {
        Self { key: format!("psp_live_{}", "6f0d8c1e2b7a4f53".repeat(4)), details: ApiKey::example() }
    }
}

/// The replacement of a key. The key itself is only in this response.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct RotatedApiKey {
    /// The id of the replaced key.
    replaces: Uuid,
    /// Until when the replaced key is accepted.
    replaced_until: Time,
    #[oai(flatten)]
    replacement: NewApiKey,
}

impl RotatedApiKey {
    pub(super) fn new(replaces: Uuid, rotated: RotatedKey, now: DateTime<Utc>) -> Self {
        let RotatedKey { created, replaced_until } = rotated;
        Self { replaces, replaced_until: Time(replaced_until), replacement: NewApiKey::new(created, now) }
    }
}

impl Tagged for RotatedApiKey {
    fn etag(&self) -> Option<&str> {
        self.replacement.etag()
    }
}

impl Example for RotatedApiKey {
    fn example() -> Self {
        Self { replaces: EXAMPLE_ID, replaced_until: Time(EXAMPLE_TIME), replacement: NewApiKey::example() }
    }
}

request_fields! {
    /// The properties of a new key.
    #[oai(example)]
    pub(super) struct ApiKeyRequest {
        /// The owner, 1 to 100 characters.
        #[oai(validator(max_length = 100))]
        name: String,
        /// The role of the key.
        role: Role,
        /// The projects whose payments the key may see; without it, all. Such a key cannot call operations that cover all
        /// projects at once.
        projects: Option<Vec<String>>,
        /// The networks from which the key may be used, in CIDR notation, at most 50; without it, all.
        allowed_networks: Option<Vec<String>>,
        /// In how many days the key expires, 1 to 3,650; without it, it does not expire.
        expires_in_days: Option<u32>,
    }
    check: ApiKeyRequest::check
}

impl ApiKeyRequest {
    /// An empty list must not create a key without a limit.
    fn check(&self, fields: &mut Fields) {
        for (name, values) in [("projects", &self.projects), ("allowed_networks", &self.allowed_networks)] {
            let is_empty =
                |values: &Vec<String>| values.is_empty() || values.iter().any(|value| value.trim().is_empty());
            if values.as_ref().is_some_and(is_empty) {
                fields.error(name, "must not be empty: leave it out for no limit");
            }
        }
    }

    pub(super) fn into_request(self) -> Result<KeyRequest, Problem> {
        let networks = self
            .allowed_networks
            .iter()
            .flatten()
            .map(|text| text.parse().map_err(|error| format!("{text:?} {error}")));
        let networks = networks.collect::<Result<_, _>>().and_then(AllowedNetworks::new);
        let lifetime = self.expires_in_days.map(KeyLifetime::from_days).transpose();
        Ok(KeyRequest {
            name: self.name.parse::<KeyName>().map_err(|error| Problem::field("name", error))?,
            role: self.role,
            scope: ProjectScope::new(self.projects),
            networks: networks.map_err(|error| Problem::field("allowed_networks", error))?,
            lifetime: lifetime.map_err(|error| Problem::field("expires_in_days", error))?,
        })
    }
}

impl Example for ApiKeyRequest {
    fn example() -> Self {
        Self {
            name: "finance".to_owned(),
            role: Role::Viewer,
            projects: Some(vec!["monetix".to_owned()]),
            allowed_networks: Some(vec!["203.0.113.0/24".to_owned()]),
            expires_in_days: Some(365),
        }
    }
}

request_fields! {
    /// How a key is replaced.
    #[oai(example)]
    pub(super) struct RotationRequest {
        /// For how many hours the replaced key is still accepted, 0 to 720; default: 24. Its own expiry may be earlier.
        overlap_hours: Option<u32>,
    }
}

impl RotationRequest {
    pub(super) fn overlap(&self) -> Result<RotationOverlap, Problem> {
        let overlap = self.overlap_hours.map(RotationOverlap::from_hours).transpose();
        Ok(overlap.map_err(|error| Problem::field("overlap_hours", error))?.unwrap_or_default())
    }
}

impl Example for RotationRequest {
    fn example() -> Self {
        Self { overlap_hours: Some(24) }
    }
}
