//! Notices that the key of a caller ends while the caller is still being served: over a WebSocket, or with a file.

use std::future::pending;
use std::io;

use futures_util::{StreamExt, stream};
use poem::{Body, Request, Response};

use super::key_list::{IssuedKeys, end_of};
use crate::clock::SharedClock;
use crate::domain::access::Principal;
use crate::domain::access::key::KeyEnd;

/// In the request of every operation that needs a key.
#[derive(Clone)]
pub(in crate::web) struct KeyWatch {
    /// `None` for a key that cannot end while the process runs: one of `API_KEYS`.
    issued: Option<IssuedKeys>,
    principal: Principal,
    clock: SharedClock,
}

impl KeyWatch {
    pub(super) fn new(issued: Option<IssuedKeys>, principal: Principal, clock: SharedClock) -> Self {
        Self { issued, principal, clock }
    }

    /// Completes when the key no longer gives the access that the caller has: within 3 s of the change, or as soon as the table of
    /// keys can be read again. An expiry does not need the table.
    pub(in crate::web) async fn ended(self) -> KeyEnd {
        match &self.issued {
            None => pending().await,
            Some(issued) => issued.until(|list| end_of(&list.keys, &self.principal, self.clock.now())).await,
        }
    }

    /// [`Self::ended`] for the caller of this request; never for one without a key.
    pub(in crate::web) fn ended_of(request: &Request) -> impl Future<Output = KeyEnd> + Send + use<> {
        let watch = request.extensions().get::<Self>().cloned();
        async move {
            match watch {
                None => pending().await,
                Some(watch) => watch.ended().await,
            }
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
