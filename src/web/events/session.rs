//! One WebSocket connection: requests, events, pings and the close.
//!
//! Reading, writing and pinging run concurrently in one task, and the first to end ends all: a client that does not read
//! cannot block the others. Replies have a short queue of their own, and reading waits for it, so that a client that sends
//! faster than it reads only slows itself.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use poem::web::websocket::{CloseCode, Message, WebSocketStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::message::{LONGEST, Notice, Outgoing, Request};
use super::outbox::Outbox;
use crate::clock::SharedClock;
use crate::domain::access::key::KeyEnd;
use crate::domain::event_names::EventNames;

/// Below the 55 s after which some hosts close an idle connection.
const PING_EVERY: Duration = Duration::from_secs(25);
/// How many pings may be unanswered.
const MISSED_AT_MOST: u32 = 2;
/// How many replies may wait before reading pauses.
const ANSWERS: usize = 16;
/// How long a client has to read the remaining messages and to confirm a close.
const FAREWELL: Duration = Duration::from_secs(30);
/// If its confirmation cannot be read, how long it has to read the close before the connection ends.
const LINGER: Duration = Duration::from_secs(1);
/// The beginning of the library's size errors, which poem passes on only as text. A test checks it.
const TOO_LONG_FOR_THE_LIBRARY: &str = "Space limit exceeded";

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Gone,
    Silent,
    Broken,
    TooLong,
    TooSlow,
    GoingAway,
    Unauthorized(KeyEnd),
}

impl End {
    /// The close frame; `None` if the client is gone.
    fn close(self) -> Option<(CloseCode, Cow<'static, str>)> {
        let (code, reason) = match self {
            Self::Gone | Self::Silent => return None,
            Self::Unauthorized(end) => return Some((CloseCode::Policy, end.to_string().into())),
            Self::Broken => (CloseCode::Protocol, "this is no WebSocket message"),
            Self::TooLong => (CloseCode::Size, "a message may have 16 KiB at most"),
            Self::TooSlow => (CloseCode::Again, "events come faster than you read them: connect again"),
            Self::GoingAway => (CloseCode::Away, "the server goes away: connect again"),
        };
        Some((code, reason.into()))
    }

    fn from_error(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Other if error.to_string().starts_with(TOO_LONG_FOR_THE_LIBRARY) => Self::TooLong,
            io::ErrorKind::Other => Self::Broken,
            _ => Self::Gone,
        }
    }
}

/// A message to the client besides events. The queue of every socket has room for 32 of them, so they are small.
enum Reply {
    Notice(Box<Notice>),
    Ping,
}

pub(in crate::web) struct Session {
    outbox: Arc<Outbox>,
    clock: SharedClock,
    names: EventNames,
    /// Pings since the last message of the client.
    unanswered: AtomicU32,
}

impl Session {
    pub(in crate::web) fn new(outbox: Arc<Outbox>, clock: SharedClock, names: EventNames) -> Self {
        Self { outbox, clock, names, unanswered: AtomicU32::new(0) }
    }

    /// Sends `welcome`, then runs until one side ends the session, or `key_end` completes.
    pub(in crate::web) async fn run(
        self,
        socket: WebSocketStream,
        welcome: Vec<Notice>,
        closing: &CancellationToken,
        key_end: impl Future<Output = KeyEnd>,
    ) {
        let (mut sink, mut stream) = socket.split();
        let (replies, mut queue) = mpsc::channel(ANSWERS);
        let end = tokio::select! {
            end = self.write(&mut sink, welcome, &mut queue) => end,
            end = self.read(&mut stream, &replies) => end,
            end = self.ping(PING_EVERY, &replies) => end,
            () = self.outbox.overflowed() => End::TooSlow,
            () = closing.cancelled() => End::GoingAway,
            end = key_end => End::Unauthorized(end),
        };
        tracing::debug!(?end, "socket closed");
        // Nothing is added to the outbox of a client that leaves.
        drop(self);
        if let Some((code, reason)) = end.close() {
            let goodbye = close(&mut sink, &mut stream, Message::close_with(code, reason));
            // It does not matter whether the client received it.
            let _ = timeout(FAREWELL, goodbye).await;
        }
    }

    async fn write(
        &self,
        sink: &mut SplitSink<WebSocketStream, Message>,
        welcome: Vec<Notice>,
        queue: &mut Receiver<Reply>,
    ) -> End {
        for notice in welcome {
            if sink.send(self.message(Reply::Notice(Box::new(notice)))).await.is_err() {
                return End::Gone;
            }
        }
        loop {
            let sent = tokio::select! {
                Some(reply) = queue.recv() => self.send(sink, [self.message(reply)]).await,
                event = self.outbox.next() => self.send(sink, self.event(&event)).await,
            };
            if sent.is_err() {
                return End::Gone;
            }
        }
    }

    /// Sends messages, together with the events that wait.
    async fn send(
        &self,
        sink: &mut SplitSink<WebSocketStream, Message>,
        messages: impl IntoIterator<Item = Message>,
    ) -> io::Result<()> {
        for message in messages {
            sink.feed(message).await?;
        }
        while let Some(event) = self.outbox.try_next() {
            for message in self.event(&event) {
                sink.feed(message).await?;
            }
        }
        sink.flush().await
    }

    fn event(&self, event: &Outgoing) -> impl Iterator<Item = Message> {
        event.texts(self.outbox.pii_access()).map(Message::text)
    }

    fn message(&self, reply: Reply) -> Message {
        match reply {
            Reply::Notice(notice) => Message::text(notice.text(self.outbox.position(), self.clock.now())),
            Reply::Ping => Message::ping([]),
        }
    }

    async fn read(&self, stream: &mut SplitStream<WebSocketStream>, replies: &Sender<Reply>) -> End {
        loop {
            let message = match stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return End::from_error(&error),
                None => return End::Gone,
            };
            // Any message shows that the client is alive.
            self.unanswered.store(0, Ordering::Relaxed);
            if message.as_bytes().len() > LONGEST {
                return End::TooLong;
            }
            let notice = match message {
                Message::Text(text) => self.reply(&text),
                Message::Binary(_) => Notice::unreadable("Binary messages are not understood: send JSON as text."),
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
            };
            if replies.send(Reply::Notice(Box::new(notice))).await.is_err() {
                return End::Gone;
            }
        }
    }

    fn reply(&self, text: &str) -> Notice {
        let (events, sources) = match Request::parse(text) {
            Ok(Request::Ping) => return Notice::Pong,
            Ok(Request::Subscribe { events, sources }) => (events, sources),
            Err(notice) => return notice,
        };
        match self.names.parse_subscription(events, sources) {
            Ok(subscription) => {
                let notice = Notice::subscribed(&subscription);
                self.outbox.subscribe(subscription);
                notice
            }
            Err(error) => Notice::invalid(error.to_string()),
        }
    }

    /// Pings the client, and ends after too many unanswered pings.
    async fn ping(&self, every: Duration, replies: &Sender<Reply>) -> End {
        let mut beats = interval_at(Instant::now() + every, every);
        // After a stall of this process pings must not come in a burst: the client had no time to answer them.
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            if self.unanswered.fetch_add(1, Ordering::Relaxed) >= MISSED_AT_MOST {
                return End::Silent;
            }
            // A full queue means that the client does not read, which counts as a missed ping too.
            let _ = replies.try_send(Reply::Ping);
        }
    }
}

/// Sends the close and waits for the client's: a connection that is closed while the client still sends is reset, and the
/// close may be lost.
async fn close(
    sink: &mut SplitSink<WebSocketStream, Message>,
    stream: &mut SplitStream<WebSocketStream>,
    close: Message,
) {
    if sink.send(close).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = stream.next().await {
        if message.is_close() {
            return;
        }
    }
    sleep(LINGER).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::access::Principal;

    fn session() -> Session {
        Session::new(Arc::new(Outbox::new(Principal::anyone(), 0, vec![])), Arc::new(SystemClock), EventNames::Current)
    }

    #[tokio::test]
    async fn client_that_misses_two_pings_is_dropped() {
        let (session, (replies, mut queue)) = (session(), mpsc::channel(ANSWERS));
        assert_eq!(session.ping(Duration::from_millis(5), &replies).await, End::Silent);
        let pings = std::iter::from_fn(|| queue.try_recv().ok()).filter(|reply| matches!(reply, Reply::Ping));
        assert_eq!(pings.count(), 2);
    }

    #[tokio::test]
    async fn client_that_sends_messages_stays() {
        let (session, (replies, mut queue)) = (session(), mpsc::channel(ANSWERS));
        let client = async {
            for _ in 0..6 {
                queue.recv().await;
                session.unanswered.store(0, Ordering::Relaxed);
            }
        };
        tokio::select! {
            end = session.ping(Duration::from_millis(5), &replies) => panic!("{end:?}"),
            () = client => {}
        }
    }

    #[test]
    fn library_errors_are_classified() {
        for (kind, text, end) in [
            (io::ErrorKind::Other, "Space limit exceeded: Message too long: 9 > 8", End::TooLong),
            (io::ErrorKind::Other, "WebSocket protocol error: Reserved bits are non-zero", End::Broken),
            (io::ErrorKind::ConnectionReset, "reset", End::Gone),
        ] {
            assert_eq!(End::from_error(&io::Error::new(kind, text)), end);
        }
    }
}
