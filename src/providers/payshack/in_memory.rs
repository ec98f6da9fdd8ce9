//! A keeper of the session for tests: what Redis does between processes, between tasks.

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
    /// Whether it cannot be reached.
    pub(super) away: AtomicBool,
}

impl InMemory {
    /// Puts a value in place of another, or only looks, if it can be reached.
    fn with<V, R>(&self, kept: &Mutex<V>, change: impl FnOnce(&mut V) -> R) -> Result<R, SessionStoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(SessionStoreError("nobody there".to_owned()));
        }
        Ok(change(&mut kept.lock().expect("no panic")))
    }
}

#[async_trait]
impl SharedSession for InMemory {
    async fn load(&self) -> Result<Option<Session>, SessionStoreError> {
        self.with(&self.session, |session| session.clone())
    }

    async fn store(&self, session: &Session) -> Result<(), SessionStoreError> {
        self.with(&self.session, |kept| *kept = Some(session.clone()))
    }

    async fn forget(&self, token: &Secret) -> Result<(), SessionStoreError> {
        self.with(&self.session, |kept| *kept = kept.take().filter(|session| session.token != *token))
    }

    async fn try_lock_login(&self, _lease: Duration) -> Result<Option<LoginPermit>, SessionStoreError> {
        self.with(&self.permit, |kept| {
            let permit = LoginPermit::new("mark");
            kept.is_none().then(|| kept.insert(permit).clone())
        })
    }

    async fn unlock_login(&self, permit: LoginPermit) -> Result<(), SessionStoreError> {
        self.with(&self.permit, |kept| *kept = kept.take().filter(|held| *held != permit))
    }

    async fn refused_login(&self) -> Result<Option<RefusedLogin>, SessionStoreError> {
        self.with(&self.refused, |refused| refused.clone())
    }

    async fn note_refused_login(&self, refused: &RefusedLogin) -> Result<(), SessionStoreError> {
        self.with(&self.refused, |kept| *kept = Some(refused.clone()))
    }
}
