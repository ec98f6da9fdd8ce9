//! The body of a complete file, which a client must accept fast enough.
//!
//! A body is only read while its client accepts data, so it cannot notice by itself that the client does not. A task does: it
//! reads the file, and hands it over through a short channel. The end of the file is a message of its own, as in
//! `operations/export/lines`.

use std::io;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use poem::Body;
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::operations::export::lines::StreamError;
use crate::operations::export::receiver::{Receiver, ReceiverLimits};

enum Message {
    Chunk(io::Result<Bytes>),
    End,
}

/// Ends `body` with an error if the client violates the limits.
pub(super) fn pace(body: Body, limits: ReceiverLimits) -> Body {
    let (sender, messages) = mpsc::channel(1);
    let forwarding = async move {
        if let Err(error) = forward(body, &sender, Receiver::new(limits)).await {
            tracing::warn!(%error, "download aborted: {error}");
        }
    };
    tokio::spawn(forwarding.in_current_span());
    let chunks = stream::unfold(Some(messages), |messages| async {
        let mut messages: mpsc::Receiver<Message> = messages?;
        match messages.recv().await {
            Some(Message::Chunk(chunk)) => Some((chunk, Some(messages))),
            Some(Message::End) => None,
            None => Some((Err(io::Error::other("the download was aborted")), None)),
        }
    });
    Body::from_bytes_stream(chunks)
}

async fn forward(body: Body, sender: &mpsc::Sender<Message>, mut receiver: Receiver) -> Result<(), StreamError> {
    let mut chunks = pin!(body.into_bytes_stream());
    loop {
        let chunk = tokio::select! {
            chunk = chunks.next() => chunk,
            () = sender.closed() => return Err(StreamError::ReceiverGone),
        };
        let is_last = !matches!(chunk, Some(Ok(_)));
        let bytes = if let Some(Ok(chunk)) = &chunk { chunk.len() } else { 0 };
        let message = chunk.map_or(Message::End, Message::Chunk);
        receiver.accept(bytes, sender.send(message)).await?.map_err(|_| StreamError::ReceiverGone)?;
        if is_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn body() -> Body {
        Body::from_bytes_stream(stream::iter((0..10).map(|number| Ok::<_, io::Error>(Bytes::from(vec![number; 100])))))
    }

    #[tokio::test]
    async fn complete_file_is_handed_over() {
        let bytes = pace(body(), ReceiverLimits::DEFAULT).into_bytes().await.expect("a complete file");
        assert_eq!(bytes.len(), 1_000);
    }

    #[tokio::test]
    async fn file_of_a_slow_client_ends_with_an_error() {
        let limits = ReceiverLimits { max_duration: Duration::from_millis(50), ..ReceiverLimits::DEFAULT };
        let mut chunks = pin!(pace(body(), limits).into_bytes_stream());
        let mut last = None;
        while let Some(chunk) = chunks.next().await {
            last = Some(chunk.is_err());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(last, Some(true), "it never looks complete");
    }
}
