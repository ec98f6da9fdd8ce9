//! Workbooks: rows are read here and written in a thread of their own, into a temporary file without a name.

use std::fs::File;
use std::io::Seek;
use std::mem::take;

use chrono_tz::Tz;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;

use super::{Export, ExportError, Rows};
use crate::db::DbError;
use crate::db::snapshot::Snapshot;
use crate::export::columns::Column;
use crate::export::xlsx::{Book, Summary};

/// How many rows are handed over at once.
const BATCH: usize = 256;
/// How many batches may wait.
const BATCHES_WAITING: usize = 2;

/// What a workbook is made of beside its rows.
pub(super) struct Plan<R: 'static, S: 'static> {
    /// What its sheets of rows are called.
    pub(super) title: &'static str,
    /// Their columns.
    pub(super) columns: Vec<&'static Column<R>>,
    /// The zone of its times.
    pub(super) zone: Tz,
    /// How many rows a sheet has at most.
    pub(super) rows_of_a_sheet: u32,
    /// Its first sheet.
    pub(super) summary: Summary<S>,
}

/// A workbook, whole.
pub struct Written {
    /// It, from its beginning. It goes when it is closed.
    pub file: File,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
}

enum Part<R> {
    Rows(Vec<R>),
    End,
}

impl Export {
    /// Reads `rows`, and writes them into a workbook.
    pub(super) async fn workbook<N: Rows, S: Send + 'static>(
        mut self,
        mut rows: N,
        plan: Plan<N::Row, S>,
    ) -> Result<Written, ExportError> {
        let (sender, parts) = mpsc::channel(BATCHES_WAITING);
        let span = tracing::Span::current();
        let writing = tokio::task::spawn_blocking(move || span.in_scope(|| write(plan, parts)));
        // Where the thread has failed, it says so itself, and what is left unread is dropped with the snapshot.
        if hand_over(&mut rows, &mut self.snapshot, &sender).await? {
            self.snapshot.close().await?;
        }
        drop(sender);
        writing.await?
    }
}

/// Hands every row over; false where nobody takes them any more.
async fn hand_over<N: Rows>(
    rows: &mut N,
    snapshot: &mut Snapshot,
    parts: &mpsc::Sender<Part<N::Row>>,
) -> Result<bool, DbError> {
    let mut read = rows.read(snapshot);
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = read.try_next().await? {
        batch.push(row);
        if batch.len() == BATCH && parts.send(Part::Rows(take(&mut batch))).await.is_err() {
            return Ok(false);
        }
    }
    Ok(parts.send(Part::Rows(batch)).await.is_ok() && parts.send(Part::End).await.is_ok())
}

fn write<R, S>(plan: Plan<R, S>, mut parts: mpsc::Receiver<Part<R>>) -> Result<Written, ExportError> {
    let mut book = Book::begin(plan.title, plan.columns, plan.zone, plan.rows_of_a_sheet)?;
    loop {
        match parts.blocking_recv() {
            Some(Part::Rows(rows)) => {
                for row in rows {
                    book.row(&row)?;
                }
            }
            Some(Part::End) => {
                let rows = book.rows();
                let mut file = tempfile::tempfile()?;
                book.finish(&plan.summary, &mut file)?;
                let bytes = file.stream_position()?;
                file.rewind()?;
                tracing::info!(rows, bytes, "exported {rows} rows");
                return Ok(Written { file, bytes, rows });
            }
            // Nobody wants half a workbook.
            None => {
                tracing::warn!(
                    rows = book.rows(),
                    "a workbook was given up: whoever asked has gone, or the database has"
                );
                return Err(ExportError::File(std::io::ErrorKind::BrokenPipe.into()));
            }
        }
    }
}
