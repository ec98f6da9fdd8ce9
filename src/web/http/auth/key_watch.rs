//! Notices that the key of a caller ends while the caller is still being served: over a WebSocket, or with a file.

use std::future::pending;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use poem::{Body, Request, Response};

use super::key_list::{IssuedKeys, end_of};
use super::sessions::Sessions;
use crate::clock::SharedClock;
use crate::domain::access::Principal;
use crate::domain::access::key::KeyEnd;

/// In the request of every operation that needs a key.
#[derive(Clone)]
pub(in crate::web) struct KeyWatch {
    /// `None` for a key that cannot end while the process runs: one of `API_KEYS`. Also for users of the identity provider.
    issued: Option<IssuedKeys>,
    sessions: Arc<Sessions>,
    principal: Principal,
    clock: SharedClock,
}

impl KeyWatch {
    pub(super) fn new(
        issued: Option<IssuedKeys>,
        sessions: Arc<Sessions>,
        principal: Principal,
        clock: SharedClock,
    ) -> Self {
        Self { issued, sessions, principal, clock }
    }

    /// Completes when the key no longer gives the access that the caller has, or when the caller's session ends: within 3 s of
    /// the change, or as soon as the tables can be read again. The expiry of a key does not need the table.
    pub(in crate::web) async fn ended(self) -> KeyEnd {
        tokio::select! {
            end = self.key_ended() => end,
            () = self.session_ended() => KeyEnd::SessionEnded,
        }
    }

    async fn session_ended(&self) {
        match self.principal.session {
            None => pending().await,
            Some(session) => self.sessions.until_ended(session.id).await,
        }
    }

    async fn key_ended(&self) -> KeyEnd {
        match &self.issued {
            None => pending().await,
            Some(issued) => issued.until(|list| end_of(&list.keys, &self.principal, self.clock.now())).await,
        }
    }

    /// That of the caller of this request; `None` without a caller.
    pub(in crate::web) fn of(request: &Request) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// [`Self::ended`]; never without a caller.
    pub(in crate::web) async fn ended_of(watch: Option<Self>) -> KeyEnd {
        match watch {
            None => pending().await,
            Some(watch) => watch.ended().await,
        }
    }

    /// Ends the body with an error when the key ends, so that the file never looks complete.
    pub(super) fn break_off(self, mut response: Response) -> Response {
        let chunks = response.take_body().into_bytes_stream().boxed();
        let ended = Box::pin(self.ended());
        let chunks = stream::unfold(Some((chunks, ended)), |state| async {
            let (mut chunks, mut ended) = state?;
            tokio::select! {
                biased;
                end = &mut ended => {
                    tracing::info!(%end, "download aborted: {end}");
                    Some((Err(io::Error::other(end)), None))
                }
                chunk = chunks.next() => chunk.map(|chunk| (chunk, Some((chunks, ended)))),
            }
        });
        response.set_body(Body::from_bytes_stream(chunks));
        response
    }
}
