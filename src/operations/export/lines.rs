//! Streams CSV and NDJSON while the rows are read.
//!
//! A task on a background thread reads the rows and sends chunks through a short channel to the code that sends them to
//! the receiver. The end of the file is a message of its own: a channel that closes without it, because the task failed
//! or died, is an error.

use std::mem::take;
use std::time::Instant;

use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::audit::{COMPLETE, ExportAudit, ExportRequester};
use super::exporter::{ExportError, Exporter, RowCounter, StartedExport};
use super::quota::ExportedRows;
use super::receiver::{Receiver, TooSlow};
use super::source::{ExportSource, RowReader};
use super::throttle::{Throttle, spawn_background_thread};
use crate::db::DbError;
use crate::db::count::Count;
use crate::db::snapshot::Snapshot;
use crate::tabular::FileOptions;
use crate::tabular::columns::select_columns;
use crate::tabular::lines::{LineFormat, LineWriter};

/// The size at which a chunk is sent.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many chunks the channel holds.
const CHANNEL_CHUNKS: usize = 4;

enum Message {
    Chunk(Vec<u8>),
    End,
    Failed(StreamError),
}

/// Why a file ended early.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("the receiver closed the connection")]
    ReceiverGone,
    #[error(transparent)]
    TooSlow(#[from] TooSlow),
    #[error("the export task died")]
    TaskDied,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A file that is being written.
pub struct LineStream {
    /// The number of rows that it will have.
    pub count: Count,
    messages: mpsc::Receiver<Message>,
}

impl LineStream {
    /// The chunks of the file. After an error the file is incomplete.
    pub fn into_chunks(self) -> impl Stream<Item = Result<Vec<u8>, StreamError>> + Send + 'static {
        stream::unfold(Some(self.messages), |messages| async {
            let mut messages = messages?;
            match messages.recv().await {
                Some(Message::Chunk(chunk)) => Some((Ok(chunk), Some(messages))),
                Some(Message::End) => None,
                Some(Message::Failed(error)) => Some((Err(error), None)),
                None => Some((Err(StreamError::TaskDied), None)),
            }
        })
    }
}

impl Exporter {
    /// Starts to write a file of lines.
    pub async fn stream_lines<S: ExportSource>(
        &self,
        source: &S,
        options: &FileOptions,
        format: LineFormat,
        requester: &ExportRequester,
        row_counter: &RowCounter,
    ) -> Result<LineStream, ExportError> {
        let columns = select_columns(S::COLUMNS, &options.columns)?;
        let lines = LineWriter { format, columns, zone: options.zone };
        let StartedExport { mut snapshot, permit, receiver, audit, exported, throttle } =
            self.start(source, options, requester).await?;
        let mut reader = source.reader(&lines.columns);
        let count = reader.count(&mut snapshot).await?;
        let (sender, messages) = mpsc::channel(CHANNEL_CHUNKS);
        let row_counter = row_counter.clone();
        let writer = Writer {
            lines,
            sender,
            receiver,
            audit,
            exported,
            throttle,
            row_counter,
            chunk: vec![],
            rows: 0,
            bytes: 0,
        };
        let task = async move {
            writer.run(reader, snapshot).await;
            drop(permit);
        };
        let span = tracing::Span::current();
        spawn_background_thread(move || task.instrument(span)).map_err(ExportError::Thread)?;
        Ok(LineStream { count, messages })
    }
}

struct Writer<R: 'static> {
    lines: LineWriter<R>,
    sender: mpsc::Sender<Message>,
    receiver: Receiver,
    audit: ExportAudit,
    exported: ExportedRows,
    throttle: Throttle,
    row_counter: RowCounter,
    chunk: Vec<u8>,
    rows: u64,
    bytes: usize,
}

impl<R: Send + 'static> Writer<R> {
    async fn run(mut self, reader: impl RowReader<Row = R>, snapshot: Snapshot) {
        let started = Instant::now();
        let result = self.write(reader, snapshot).await;
        let (rows, bytes) = (self.rows, self.bytes);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let outcome = result.as_ref().map_or_else(StreamError::to_string, |()| COMPLETE.to_owned());
        // Before the end is sent, so that a receiver of a complete file finds a complete audit entry.
        self.audit.finish(rows, &outcome).await;
        self.exported.count(rows).await;
        match result {
            Ok(()) => {
                tracing::info!(rows, bytes, duration_ms, "exported {rows} rows");
                // The receiver may be gone.
                let _sent = self.send(Message::End).await;
            }
            Err(error) => {
                tracing::warn!(rows, bytes, duration_ms, %error, "export aborted after {rows} rows: {error}");
                // The receiver may be gone. If it is stalled and the channel is full, it finds the channel closed later.
                let _sent = self.sender.try_send(Message::Failed(error));
            }
        }
    }

    async fn write(&mut self, mut reader: impl RowReader<Row = R>, mut snapshot: Snapshot) -> Result<(), StreamError> {
        self.lines.write_header(&mut self.chunk);
        // At once, so that the receiver sees that the export has started.
        self.send_chunk().await?;
        let mut rows = reader.read(&mut snapshot);
        while let Some(row) = self.next(&mut rows).await? {
            self.rows += 1;
            self.audit.before_row(self.rows).await?;
            self.lines.write_row(&row, &mut self.chunk);
            if self.chunk.len() >= CHUNK_BYTES {
                self.send_chunk().await?;
                self.throttle.pause_if_due();
            }
        }
        drop(rows);
        self.send_chunk().await?;
        // Everything has been sent: a broken connection concerns only the pool.
        if let Err(error) = snapshot.close().await {
            tracing::debug!(%error, "failed to close the snapshot of an export");
        }
        Ok(())
    }

    /// The next row. While waiting for it, notices that the receiver is gone.
    async fn next(&self, rows: &mut BoxStream<'_, Result<R, DbError>>) -> Result<Option<R>, StreamError> {
        if let Some(row) = rows.next().now_or_never() {
            return Ok(row.transpose()?);
        }
        tokio::select! {
            row = rows.next() => Ok(row.transpose()?),
            () = self.sender.closed() => Err(StreamError::ReceiverGone),
        }
    }

    async fn send_chunk(&mut self) -> Result<(), StreamError> {
        self.row_counter.set(self.rows);
        let chunk = take(&mut self.chunk);
        self.bytes += chunk.len();
        if chunk.is_empty() { Ok(()) } else { self.send(Message::Chunk(chunk)).await }
    }

    async fn send(&mut self, message: Message) -> Result<(), StreamError> {
        let bytes = if let Message::Chunk(chunk) = &message { chunk.len() } else { 0 };
        let sent = self.receiver.accept(bytes, self.sender.send(message)).await?;
        sent.map_err(|_| StreamError::ReceiverGone)
    }
}
