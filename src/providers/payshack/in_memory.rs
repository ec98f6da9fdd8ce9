//! A session store in memory, for tests.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::session::{LoginPermit, RefusedLogin, Session, SessionStoreError, SharedSession};
use crate::domain::secret::Secret;

#[derive(Default)]
pub(super) struct InMemory {
    session: Mutex<Option<Session>>,
    permit: Mutex<Option<LoginPermit>>,
    refused: Mutex<Option<RefusedLogin>>,
    pub(super) unavailable: AtomicBool,
}

impl InMemory {
    fn with<V, R>(&self, value: &Mutex<V>, change: impl FnOnce(&mut V) -> R) -> Result<R, SessionStoreError> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(SessionStoreError("unavailable".to_owned()));
        }
        Ok(change(&mut value.lock().expect("no panic")))
    }
}

#[async_trait]
impl SharedSession for InMemory {
    async fn load(&self) -> Result<Option<Session>, SessionStoreError> {
        self.with(&self.session, |session| session.clone())
    }

    async fn store(&self, session: &Session) -> Result<(), SessionStoreError> {
        self.with(&self.session, |stored| *stored = Some(session.clone()))
    }

    async fn forget(&self, token: &Secret) -> Result<(), SessionStoreError> {
        self.with(&self.session, |stored| *stored = stored.take().filter(|session| session.token != *token))
    }

    async fn try_lock_login(&self, _lease: Duration) -> Result<Option<LoginPermit>, SessionStoreError> {
        self.with(&self.permit, |stored| {
            let permit = LoginPermit::new("mark");
            stored.is_none().then(|| stored.insert(permit).clone())
        })
    }

    async fn unlock_login(&self, permit: LoginPermit) -> Result<(), SessionStoreError> {
        self.with(&self.permit, |stored| *stored = stored.take().filter(|held| *held != permit))
    }

    async fn refused_login(&self) -> Result<Option<RefusedLogin>, SessionStoreError> {
        self.with(&self.refused, |refused| refused.clone())
    }

    async fn store_refused_login(&self, refused: &RefusedLogin) -> Result<(), SessionStoreError> {
        self.with(&self.refused, |stored| *stored = Some(refused.clone()))
    }
}
