//! The API keys that are accepted: those of `API_KEYS`, and the issued ones of the table.
//!
//! One task per process reads the table about once a second and publishes what it found, so that a request needs no statement,
//! a slow database does not make requests wait for each other, and a revoked key stops working soon. A list is only believed
//! for a few seconds: if the table cannot be read, requests wait briefly for the next list and are then refused, because a key
//! may have been revoked meanwhile. Rejected: reading the table when a request finds the list outdated, which lets all requests
//! wait for one slow statement.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use subtle::ConstantTimeEq;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::config::BootstrapKey;
use crate::db::DbError;
use crate::db::access::api_keys;
use crate::domain::access::key::{AllowedNetworks, KeyEnd};
use crate::domain::access::{KeyId, Principal, ProjectScope};

/// How often the table is read.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// How soon it is read again after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How long one reading may take.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a list is believed, from the start of its reading: a revoked key is refused within 3 s.
const BELIEVED: Duration = Duration::from_millis(2_900);
/// How long a request waits for the next list if the last one is too old.
const WAIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Key {
    /// In the table; `None` for a key of `API_KEYS`.
    pub(super) id: Option<Uuid>,
    /// SHA-256 of the key.
    digest: [u8; 32],
    pub(super) principal: Principal,
    networks: AllowedNetworks,
    expires_at: Option<DateTime<Utc>>,
}

impl Key {
    pub(super) fn configured(key: &BootstrapKey) -> Self {
        let digest: [u8; 32] = Sha256::digest(key.key.expose()).into();
        let (key_id, name) = (KeyId::of_digest(&digest), key.name.clone());
        Self::unlimited(digest, Principal::of_key(key_id, name, key.role, ProjectScope::All))
    }

    fn unlimited(digest: [u8; 32], principal: Principal) -> Self {
        Self { id: None, digest, principal, networks: AllowedNetworks::default(), expires_at: None }
    }

    fn issued(key: api_keys::ActiveKey) -> Option<Self> {
        let principal = Principal::of_key(KeyId(key.id), key.name, key.role, key.scope);
        let digest = key.key_hash.try_into().ok()?;
        Some(Self { id: Some(key.id), digest, principal, networks: key.networks, expires_at: key.expires_at })
    }

    /// Why it gives no access at `now`; `None` if it does.
    pub(super) fn end(&self, now: DateTime<Utc>) -> Option<KeyEnd> {
        KeyEnd::of_times(false, self.expires_at, now)
    }

    /// Whether it may be used from this address.
    pub(super) fn is_allowed_from(&self, address: Option<IpAddr>) -> bool {
        self.networks.allow(address)
    }
}

/// The key with this digest. Every key is compared, so that the time does not depend on the result.
pub(super) fn find<'keys>(keys: &'keys [Key], digest: &[u8; 32]) -> Option<&'keys Key> {
    keys.iter().filter(|key| bool::from(key.digest.ct_eq(digest))).fold(None, |found, key| found.or(Some(key)))
}

/// Why the key of `principal` no longer gives the access that `principal` has; `None` if it does.
pub(super) fn end_of(keys: &[Key], principal: &Principal, now: DateTime<Utc>) -> Option<KeyEnd> {
    let key = keys.iter().find(|key| key.principal.key_id == principal.key_id);
    let Some(key) = key else { return Some(KeyEnd::Revoked) };
    let same = key.principal.role == principal.role && key.principal.scope == principal.scope;
    key.end(now).or((!same).then_some(KeyEnd::Changed))
}

/// The issued keys at one time.
#[derive(Debug, Clone)]
pub(super) struct KeyList {
    read_at: Instant,
    pub(super) keys: Arc<[Key]>,
}

impl KeyList {
    async fn read(pool: &PgPool) -> Result<Self, DbError> {
        let read_at = Instant::now();
        let keys = timeout(READ_TIMEOUT, api_keys::list_active(pool)).await;
        let keys = keys.unwrap_or(Err(DbError::Unavailable(sqlx::Error::PoolTimedOut)))?;
        Ok(Self { read_at, keys: keys.into_iter().filter_map(Key::issued).collect() })
    }

    fn is_believed(&self) -> bool {
        self.read_at.elapsed() <= BELIEVED
    }
}

/// The list has not been read for too long.
#[derive(Debug, thiserror::Error)]
#[error("the API keys cannot be read: check the connection to PostgreSQL, and whether the table api_keys is locked")]
pub(super) struct KeysUnavailable;

/// The latest list, and the task that refreshes it. The task ends with the last clone.
#[derive(Clone)]
pub(super) struct IssuedKeys {
    lists: watch::Receiver<KeyList>,
    wanted: Arc<Notify>,
}

impl IssuedKeys {
    /// Reads the first list, and keeps refreshing it.
    pub(super) async fn start(pool: PgPool) -> Result<Self, DbError> {
        let (sender, lists) = watch::channel(KeyList::read(&pool).await?);
        let wanted = Arc::new(Notify::new());
        tokio::spawn(refresh(pool, sender, Arc::clone(&wanted)));
        Ok(Self { lists, wanted })
    }

    /// Reads the table now, after this process has changed it, and waits for the list, so that the change has an effect here before
    /// its response is sent.
    pub(super) async fn refresh(&self) {
        let changed_at = Instant::now();
        self.wanted.notify_one();
        let mut lists = self.lists.clone();
        let refreshed = lists.wait_for(|list| list.read_at >= changed_at);
        if timeout(READ_TIMEOUT, refreshed).await.is_err() {
            tracing::warn!("the API keys were changed, but cannot be read: the change has an effect when they can");
        }
    }

    /// A list that is not too old. Requests that have to wait for it wait together.
    pub(super) async fn current(&self) -> Result<KeyList, KeysUnavailable> {
        {
            let list = self.lists.borrow();
            if list.is_believed() {
                return Ok(list.clone());
            }
        }
        let mut lists = self.lists.clone();
        match timeout(WAIT, lists.wait_for(KeyList::is_believed)).await {
            Ok(Ok(list)) => Ok(list.clone()),
            Ok(Err(_)) | Err(_) => Err(KeysUnavailable),
        }
    }

    /// Completes with the first value that `check` returns for a list. It is asked about once a second, also while the table
    /// cannot be read.
    pub(super) async fn until<T>(&self, check: impl Fn(&KeyList) -> Option<T>) -> T {
        let mut lists = self.lists.clone();
        loop {
            if let Some(value) = check(&lists.borrow_and_update()) {
                return value;
            }
            if lists.changed().await.is_err() {
                // The process stops.
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn refresh(pool: PgPool, lists: watch::Sender<KeyList>, wanted: Arc<Notify>) {
    let mut failed = false;
    let mut pause = REFRESH_EVERY;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = wanted.notified() => {}
            () = lists.closed() => return,
        }
        match KeyList::read(&pool).await {
            Ok(list) => {
                lists.send_replace(list);
                (failed, pause) = (false, REFRESH_EVERY);
            }
            Err(error) => {
                if !failed {
                    tracing::warn!(%error, "failed to read the API keys: requests are refused until it succeeds");
                }
                // Those who watch a key must notice its expiry.
                lists.send_modify(|_| {});
                (failed, pause) = (true, RETRY_AFTER);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Role;

    #[test]
    fn key_is_found_by_its_digest() {
        let key = |text: &str, name: &str| {
            let principal = Principal { name: name.to_owned(), ..Principal::anyone() };
            Key::unlimited(Sha256::digest(text).into(), principal)
        };
        let keys = [key("first", "a"), key("second", "b")];
        let found = |text: &str| find(&keys, &Sha256::digest(text).into()).map(|key| key.principal.name.as_str());
        assert_eq!((found("first"), found("second"), found("third")), (Some("a"), Some("b"), None));
    }

    #[tokio::test]
    async fn old_list_is_not_believed() {
        let read_before = |age| KeyList { read_at: Instant::now() - age, keys: Arc::new([]) };
        assert!(read_before(Duration::ZERO).is_believed());
        assert!(!read_before(BELIEVED + Duration::from_millis(1)).is_believed());
        let (lists, receiver) = watch::channel(read_before(BELIEVED * 2));
        let issued = IssuedKeys { lists: receiver, wanted: Arc::default() };
        let (waiting, also_waiting, _old) =
            tokio::join!(issued.current(), issued.current(), async { lists.send_replace(read_before(Duration::ZERO)) });
        assert!(waiting.is_ok() && also_waiting.is_ok(), "requests wait for the next list");
    }

    #[test]
    fn access_ends_with_its_key_its_role_and_its_expiry() {
        let now: DateTime<Utc> = "2026-01-15T10:00:00Z".parse().expect("a time");
        let principal = |id, role| Principal { key_id: KeyId(Uuid::from_u128(id)), role, ..Principal::anyone() };
        let keys = |expires_at| [Key { expires_at, ..Key::unlimited([0; 32], principal(1, Role::Viewer)) }];
        let limited = Principal { scope: ProjectScope::new(Some(vec!["a".to_owned()])), ..principal(1, Role::Viewer) };
        for (principal, expires_at, end) in [
            (principal(1, Role::Viewer), None, None),
            (principal(1, Role::Viewer), Some(now + Duration::from_secs(1)), None),
            (principal(1, Role::Viewer), Some(now), Some(KeyEnd::Expired(now))),
            (principal(1, Role::Admin), None, Some(KeyEnd::Changed)),
            (limited, None, Some(KeyEnd::Changed)),
            (principal(2, Role::Viewer), None, Some(KeyEnd::Revoked)),
        ] {
            assert_eq!(end_of(&keys(expires_at), &principal, now), end, "{principal:?} {expires_at:?}");
        }
    }
}
