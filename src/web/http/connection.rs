//! A connection of a client: its place within the limit, and how long it may be silent or accept nothing.
//!
//! hyper's timeout for reading a request's head was rejected: it starts with the end of the last request, so it would either
//! close connections that a proxy keeps open for reuse, or let a client take that long to send a head.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Sleep, sleep, timeout};

use super::limits::HeldPermit;

/// How long a client may accept nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ActivityState {
    /// Requests whose response is not complete.
    open: usize,
    /// Whether the client has begun to send the next request.
    head_started: bool,
    /// Whether there was a request before.
    served: bool,
}

impl ActivityState {
    /// How long this state may last; `None` while a request is open.
    fn limit(self, header_timeout: Duration, idle_timeout: Duration) -> Option<Duration> {
        match self {
            Self { open: 1.., .. } => None,
            Self { served: true, head_started: false, .. } => Some(idle_timeout),
            Self { .. } => Some(header_timeout),
        }
    }
}

/// What happens on a connection; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<watch::Sender<ActivityState>>);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(ActivityState::default())))
    }
}

impl Activity {
    pub(super) fn open_request(&self) -> OpenRequest {
        self.0.send_modify(|state| *state = ActivityState { open: state.open + 1, head_started: false, served: true });
        OpenRequest(self.clone())
    }

    /// Whether there was no request yet.
    pub(super) fn is_unused(&self) -> bool {
        let state = self.0.borrow();
        state.open == 0 && !state.served
    }

    /// Whether there is no open request.
    pub(super) fn is_idle(&self) -> bool {
        self.0.borrow().open == 0
    }

    fn note_received(&self) {
        self.0.send_if_modified(|state| {
            let starts = state.open == 0 && !state.head_started;
            state.head_started |= starts;
            starts
        });
    }

    /// Ends when no request has been open for `idle_timeout`, or when the head of a request is not complete after
    /// `header_timeout`. The first request must be complete within `header_timeout` of the connection.
    pub(super) async fn until_silent(&self, header_timeout: Duration, idle_timeout: Duration) {
        let mut states = self.0.subscribe();
        loop {
            let state = *states.borrow_and_update();
            // The sender lives as long as `self`. Time for the first request runs from the start, not from its first byte.
            let next = states.wait_for(|new| *new != state && (state.served || new.open > 0));
            match state.limit(header_timeout, idle_timeout) {
                None => drop(next.await),
                Some(limit) => match timeout(limit, next).await {
                    Ok(state) => drop(state),
                    Err(_) => return,
                },
            }
        }
    }
}

/// A request whose response is not complete; dropped when it is.
#[derive(Debug)]
pub(super) struct OpenRequest(Activity);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.open -= 1);
    }
}

/// The body of a response, which keeps its request open.
pub(super) struct OpenBody<B> {
    body: B,
    _open: OpenRequest,
    _permit: Option<HeldPermit>,
}

impl<B> OpenBody<B> {
    /// `permit` is kept as long as the body.
    pub(super) fn new(body: B, open: OpenRequest, permit: Option<HeldPermit>) -> Self {
        Self { body, _open: open, _permit: permit }
    }
}

impl<B: Body + Unpin> Body for OpenBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket of a connection, also after an upgrade to a WebSocket.
pub(super) struct Socket {
    stream: TcpStream,
    activity: Activity,
    /// Runs while the client accepts nothing.
    write_timeout: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Socket {
    /// The connection counts against the limit of the permit for as long as the socket exists.
    pub(super) fn new(stream: TcpStream, activity: Activity, permit: OwnedSemaphorePermit) -> Self {
        Self { stream, activity, write_timeout: None, _permit: permit }
    }

    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    fn limit<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timeout = None;
            return written;
        }
        let waiting = self.write_timeout.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.note_received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.limit(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connection_is_kept_for_longer_than_an_incomplete_head() {
        let (header, idle) = (Duration::from_secs(30), Duration::from_secs(75));
        let activity = Activity::default();
        let limit = || activity.0.borrow().limit(header, idle);
        assert_eq!(limit(), Some(header), "the first request must come soon");
        activity.note_received();
        assert_eq!(limit(), Some(header));
        let (first, second) = (activity.open_request(), activity.open_request());
        drop(first);
        assert_eq!(limit(), None, "a request may take as long as it takes");
        activity.note_received();
        drop(second);
        assert_eq!(limit(), Some(idle));
        activity.note_received();
        assert_eq!(limit(), Some(header), "the head of the next request has begun");
        drop(activity.open_request());
        assert_eq!(limit(), Some(idle));
    }
}
