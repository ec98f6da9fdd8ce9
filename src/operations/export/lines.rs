//! Lines that are sent while they are read.
//!
//! A task, on a thread that lets others go first, reads the rows and hands over chunks; whoever sends them is at the other
//! end of a short channel. The end of the file is a message of its own: a channel that closes without it, because the task
//! failed or died, is an error.

use std::mem::take;
use std::time::{Duration, Instant};

use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::audit::ExportAudit;
use super::throttle::{Throttle, run_behind};
use super::{Export, ExportError, ExportSource, Exports, Rows, RowsSoFar};
use crate::db::DbError;
use crate::db::count::Count;
use crate::db::snapshot::Snapshot;
use crate::domain::access::Principal;
use crate::tabular::FileOptions;
use crate::tabular::columns::choose;
use crate::tabular::lines::{LineFormat, Lines};

/// How large a chunk grows before it is handed over.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many chunks may wait.
const CHUNKS_WAITING: usize = 4;

/// What the task hands over.
enum Part {
    Chunk(Vec<u8>),
    End,
    Failed(Stop),
}

/// Why a file ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Nobody reads it any more.
    #[error("whoever read it has gone")]
    Gone,
    /// Whoever reads it takes nothing.
    #[error("nobody took anything for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The task that wrote it has died.
    #[error("the export was given up")]
    GivenUp,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A file on its way.
pub struct Chunks {
    /// How many rows it will have.
    pub count: Count,
    parts: mpsc::Receiver<Part>,
}

impl Chunks {
    /// The chunks, to be sent one after the other. An error means that the file has not come to its end.
    pub fn into_stream(self) -> impl Stream<Item = Result<Vec<u8>, Stop>> + Send + 'static {
        stream::unfold(Some(self.parts), |parts| async {
            let mut parts = parts?;
            match parts.recv().await {
                Some(Part::Chunk(chunk)) => Some((Ok(chunk), Some(parts))),
                Some(Part::End) => None,
                Some(Part::Failed(stop)) => Some((Err(stop), None)),
                None => Some((Err(Stop::GivenUp), None)),
            }
        })
    }
}

impl Exports {
    /// Begins to write a file of lines, in the name of `by`.
    ///
    /// # Errors
    /// [`ExportError`] where it cannot begin.
    pub async fn lines<S: ExportSource>(
        &self,
        subject: &S,
        form: &FileOptions,
        format: LineFormat,
        by: &Principal,
        so_far: &RowsSoFar,
    ) -> Result<Chunks, ExportError> {
        let lines = Lines { format, columns: choose(S::COLUMNS, &form.columns)?, zone: form.zone };
        let Export { mut snapshot, place, patience, trail, rests } = self.begin(subject, form, by).await?;
        let mut rows = subject.rows(&lines.columns);
        let count = rows.count(&mut snapshot).await?;
        let (sender, parts) = mpsc::channel(CHUNKS_WAITING);
        let so_far = so_far.clone();
        let writer = Writer { lines, parts: sender, patience, trail, rests, so_far, chunk: vec![], rows: 0, bytes: 0 };
        let task = async move {
            writer.run(rows, snapshot).await;
            drop(place);
        };
        let span = tracing::Span::current();
        run_behind(move || task.instrument(span)).map_err(ExportError::Thread)?;
        Ok(Chunks { count, parts })
    }
}

struct Writer<R: 'static> {
    lines: Lines<R>,
    parts: mpsc::Sender<Part>,
    patience: Duration,
    trail: ExportAudit,
    rests: Throttle,
    so_far: RowsSoFar,
    chunk: Vec<u8>,
    rows: u64,
    bytes: usize,
}

impl<R: Send + 'static> Writer<R> {
    async fn run(mut self, rows: impl Rows<Row = R>, snapshot: Snapshot) {
        let began = Instant::now();
        let written = self.write(rows, snapshot).await;
        let (rows, bytes) = (self.rows, self.bytes);
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let outcome = written.as_ref().map_or_else(Stop::to_string, |()| "complete".to_owned());
        // Before the end is sent: whoever has the whole file finds it noted.
        self.trail.end(rows, &outcome).await;
        match written {
            Ok(()) => {
                tracing::info!(rows, bytes, duration_ms, "exported {rows} rows");
                // Nobody may be there to hear it.
                let _heard = self.send(Part::End).await;
            }
            Err(stop) => {
                tracing::warn!(rows, bytes, duration_ms, error = %stop, "an export ended after {rows} rows: {stop}");
                // Nobody may be there to hear it; a reader that takes nothing hears it when it looks again.
                let _heard = self.parts.try_send(Part::Failed(stop));
            }
        }
    }

    async fn write(&mut self, mut rows: impl Rows<Row = R>, mut snapshot: Snapshot) -> Result<(), Stop> {
        self.lines.head(&mut self.chunk);
        // At once, so that whoever asked sees that it has begun.
        self.hand_over().await?;
        let mut read = rows.read(&mut snapshot);
        while let Some(row) = self.next(&mut read).await? {
            self.rows += 1;
            self.trail.before_row(self.rows).await?;
            self.lines.row(&row, &mut self.chunk);
            if self.chunk.len() >= CHUNK_BYTES {
                self.hand_over().await?;
                self.rests.rest();
            }
        }
        drop(read);
        self.hand_over().await?;
        // Everything is handed over: what becomes of the connection is the pool's affair.
        if let Err(error) = snapshot.close().await {
            tracing::debug!(%error, "the snapshot of an export was not closed in good order");
        }
        Ok(())
    }

    /// The next row; while there is none, it is noticed where nobody waits for it any more.
    async fn next(&self, read: &mut BoxStream<'_, Result<R, DbError>>) -> Result<Option<R>, Stop> {
        if let Some(row) = read.next().now_or_never() {
            return Ok(row.transpose()?);
        }
        tokio::select! {
            row = read.next() => Ok(row.transpose()?),
            () = self.parts.closed() => Err(Stop::Gone),
        }
    }

    async fn hand_over(&mut self) -> Result<(), Stop> {
        self.so_far.set(self.rows);
        let chunk = take(&mut self.chunk);
        self.bytes += chunk.len();
        if chunk.is_empty() { Ok(()) } else { self.send(Part::Chunk(chunk)).await }
    }

    async fn send(&self, part: Part) -> Result<(), Stop> {
        match tokio::time::timeout(self.patience, self.parts.send(part)).await {
            Ok(sent) => sent.map_err(|_| Stop::Gone),
            Err(_) => Err(Stop::Stalled(self.patience)),
        }
    }
}
