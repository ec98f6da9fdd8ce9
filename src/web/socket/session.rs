//! One socket: what its client says, what it hears, and how they part.
//!
//! Reading, writing and the pulse go on side by side in one task, and the first to end ends them all: a client that does
//! not read cannot keep the others from noticing. Answers have a short queue of their own, and reading waits for it, so
//! that a client that asks faster than it listens only slows itself.

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

use super::message::{LONGEST, Notice, Request};
use super::outbox::Outbox;
use super::subscription::Subscription;
use crate::clock::SharedClock;

/// Below the 55 s after which some hosts' routers end a silent connection.
const PING_EVERY: Duration = Duration::from_secs(25);
/// So many pings may go unanswered.
const MISSED_AT_MOST: u32 = 2;
/// Answers that may wait before reading does.
const ANSWERS: usize = 16;
/// How long a client has to read what is left and to answer a close.
const FAREWELL: Duration = Duration::from_secs(30);
/// Where its answer can no longer be read, it has this long to read the close before the connection goes.
const LINGER: Duration = Duration::from_secs(1);
/// How the library's errors of size begin; poem hands them on as text only. A test holds us to it.
const TOO_LONG_FOR_THE_LIBRARY: &str = "Space limit exceeded";

/// Why a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has gone.
    Gone,
    /// It does not answer pings.
    Silent,
    /// It does not speak the protocol.
    Broken,
    /// Its message is too long.
    TooLong,
    /// It cannot keep up.
    TooSlow,
    /// The server goes.
    GoingAway,
}

impl End {
    /// How the client is told, if there is anybody to tell.
    fn close(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Self::Gone | Self::Silent => None,
            Self::Broken => Some((CloseCode::Protocol, "this is no WebSocket message")),
            Self::TooLong => Some((CloseCode::Size, "a message may have 16 KiB at most")),
            Self::TooSlow => Some((CloseCode::Again, "events come faster than you read them: connect again")),
            Self::GoingAway => Some((CloseCode::Away, "the server goes away: connect again")),
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Other if error.to_string().starts_with(TOO_LONG_FOR_THE_LIBRARY) => Self::TooLong,
            io::ErrorKind::Other => Self::Broken,
            _ => Self::Gone,
        }
    }
}

/// Something for the client beside its events.
enum Answer {
    Notice(Notice),
    Ping,
}

/// One client's conversation.
pub(in crate::web) struct Session {
    outbox: Arc<Outbox>,
    clock: SharedClock,
    /// Pings since the client was last heard.
    unanswered: AtomicU32,
}

impl Session {
    /// A conversation about what is in `outbox`.
    pub(in crate::web) fn new(outbox: Arc<Outbox>, clock: SharedClock) -> Self {
        Self { outbox, clock, unanswered: AtomicU32::new(0) }
    }

    /// Converses until one side has enough, beginning with `welcome`.
    pub(in crate::web) async fn run(self, socket: WebSocketStream, welcome: Vec<Notice>, closing: &CancellationToken) {
        let (mut sink, mut stream) = socket.split();
        let (answers, mut queue) = mpsc::channel(ANSWERS);
        let end = tokio::select! {
            end = self.write(&mut sink, welcome, &mut queue) => end,
            end = self.read(&mut stream, &answers) => end,
            end = self.pulse(PING_EVERY, &answers) => end,
            () = self.outbox.overflowed() => End::TooSlow,
            () = closing.cancelled() => End::GoingAway,
        };
        tracing::debug!(?end, "a socket ends");
        // Nothing is laid into the outbox of a client that leaves.
        drop(self);
        if let Some((code, reason)) = end.close() {
            let goodbye = part(&mut sink, &mut stream, Message::close_with(code, reason));
            // Whether the client heard it is its own affair.
            let _ = timeout(FAREWELL, goodbye).await;
        }
    }

    async fn write(
        &self,
        sink: &mut SplitSink<WebSocketStream, Message>,
        welcome: Vec<Notice>,
        queue: &mut Receiver<Answer>,
    ) -> End {
        for notice in welcome {
            if sink.send(self.message(Answer::Notice(notice))).await.is_err() {
                return End::Gone;
            }
        }
        loop {
            let message = tokio::select! {
                Some(answer) = queue.recv() => self.message(answer),
                event = self.outbox.next() => Message::text(event.text.clone()),
            };
            if sink.send(message).await.is_err() {
                return End::Gone;
            }
        }
    }

    fn message(&self, answer: Answer) -> Message {
        match answer {
            Answer::Notice(notice) => Message::text(notice.text(self.outbox.position(), self.clock.now())),
            Answer::Ping => Message::ping([]),
        }
    }

    async fn read(&self, stream: &mut SplitStream<WebSocketStream>, answers: &Sender<Answer>) -> End {
        loop {
            let message = match stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return End::of(&error),
                None => return End::Gone,
            };
            // Whatever it says, it is there.
            self.unanswered.store(0, Ordering::Relaxed);
            if message.as_bytes().len() > LONGEST {
                return End::TooLong;
            }
            let notice = match message {
                Message::Text(text) => self.answer(&text),
                Message::Binary(_) => Notice::unreadable("Binary messages are not understood: send JSON as text."),
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
            };
            if answers.send(Answer::Notice(notice)).await.is_err() {
                return End::Gone;
            }
        }
    }

    fn answer(&self, text: &str) -> Notice {
        let (events, sources) = match Request::parse(text) {
            Ok(Request::Ping) => return Notice::Pong,
            Ok(Request::Subscribe { events, sources }) => (events, sources),
            Err(notice) => return notice,
        };
        match Subscription::parse(events, sources) {
            Ok(subscription) => {
                let notice = Notice::subscribed(&subscription);
                self.outbox.subscribe(subscription);
                notice
            }
            Err(error) => Notice::invalid(error.to_string()),
        }
    }

    /// Pings the client, and ends when too many pings went unanswered.
    async fn pulse(&self, every: Duration, answers: &Sender<Answer>) -> End {
        let mut beats = interval_at(Instant::now() + every, every);
        // After a stall of this process the beats must not come in a burst: the client had no time to answer them.
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            if self.unanswered.fetch_add(1, Ordering::Relaxed) >= MISSED_AT_MOST {
                return End::Silent;
            }
            // A queue that is full belongs to a client that does not read; that is a ping missed, too.
            let _ = answers.try_send(Answer::Ping);
        }
    }
}

/// Sends the close and waits for the client's own: a connection that is ended while the client still sends is reset, and
/// the close may never be read.
async fn part(
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

    fn session() -> Session {
        Session::new(Arc::new(Outbox::new(0, vec![])), Arc::new(SystemClock))
    }

    #[tokio::test]
    async fn a_client_that_misses_two_pings_is_dropped() {
        let (session, (answers, mut queue)) = (session(), mpsc::channel(ANSWERS));
        assert_eq!(session.pulse(Duration::from_millis(5), &answers).await, End::Silent);
        let pings = std::iter::from_fn(|| queue.try_recv().ok()).filter(|answer| matches!(answer, Answer::Ping));
        assert_eq!(pings.count(), 2);
    }

    #[tokio::test]
    async fn a_client_that_is_heard_stays() {
        let (session, (answers, mut queue)) = (session(), mpsc::channel(ANSWERS));
        let client = async {
            for _ in 0..6 {
                queue.recv().await;
                session.unanswered.store(0, Ordering::Relaxed);
            }
        };
        tokio::select! {
            end = session.pulse(Duration::from_millis(5), &answers) => panic!("{end:?}"),
            () = client => {}
        }
    }

    #[test]
    fn errors_of_the_library_are_told_apart() {
        for (kind, text, end) in [
            (io::ErrorKind::Other, "Space limit exceeded: Message too long: 9 > 8", End::TooLong),
            (io::ErrorKind::Other, "WebSocket protocol error: Reserved bits are non-zero", End::Broken),
            (io::ErrorKind::ConnectionReset, "reset", End::Gone),
        ] {
            assert_eq!(End::of(&io::Error::new(kind, text)), end);
        }
    }
}
