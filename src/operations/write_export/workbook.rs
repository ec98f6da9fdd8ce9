//! Workbooks: rows are read here and written in a thread of their own, into a temporary file without a name.

use std::fs::File;
use std::io::Seek;
use std::mem::take;

use chrono_tz::Tz;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;

use super::behind::begin_behind;
use super::trail::Trail;
use super::{Export, ExportError, Exports, Rows, RowsSoFar, Subject};
use crate::db::DbError;
use crate::db::snapshot::Snapshot;
use crate::domain::access::Principal;
use crate::export::Form;
use crate::export::columns::{Column, choose};
use crate::export::xlsx::{Book, Summary};

/// How many rows are handed over at once.
const BATCH: usize = 256;
/// How many batches may wait.
const BATCHES_WAITING: usize = 2;

/// What a workbook is made of beside its rows.
struct Plan<R: 'static, S: 'static> {
    title: &'static str,
    columns: Vec<&'static Column<R>>,
    zone: Tz,
    rows_of_a_sheet: u32,
    summary: Summary<S>,
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

impl Exports {
    /// Writes a workbook, in the name of `by`, whose sheets have at most so many rows.
    ///
    /// # Errors
    /// [`ExportError`] where it cannot be written.
    pub async fn workbook<S: Subject>(
        &self,
        subject: &S,
        form: &Form,
        by: &Principal,
        rows_of_a_sheet: u32,
        so_far: &RowsSoFar,
    ) -> Result<Written, ExportError> {
        let columns = choose(S::COLUMNS, &form.columns)?;
        let Export { mut snapshot, place, mut trail, .. } = self.begin(subject, form, by).await?;
        // The snapshot is that of the first statement, which comes now.
        let snapshot_at = self.clock.now();
        let summary = Summary {
            columns: S::SUMMARY,
            rows: subject.summary(&mut snapshot).await?,
            snapshot_at,
            filters: subject.filters(),
            remarks: subject.remarks(),
        };
        let rows = subject.rows(&columns);
        let plan = Plan { title: S::TITLE, columns, zone: form.zone, rows_of_a_sheet, summary };
        let written = fill(rows, snapshot, plan, &mut trail, so_far).await;
        let outcome = written.as_ref().map_or_else(ToString::to_string, |_| "complete".to_owned());
        trail.end(so_far.get(), &outcome).await?;
        drop(place);
        written
    }
}

async fn fill<N: Rows, S: Send + 'static>(
    mut rows: N,
    mut snapshot: Snapshot,
    plan: Plan<N::Row, S>,
    trail: &mut Trail,
    so_far: &RowsSoFar,
) -> Result<Written, ExportError> {
    let (sender, parts) = mpsc::channel(BATCHES_WAITING);
    let span = tracing::Span::current();
    let writing = begin_behind(move || span.in_scope(|| write(plan, parts))).map_err(ExportError::Thread)?;
    rows.count(&mut snapshot).await?;
    // Where the thread has failed, it says so itself, and what is left unread is dropped with the snapshot.
    if hand_over(&mut rows, &mut snapshot, &sender, trail, so_far).await? {
        snapshot.close().await?;
    }
    drop(sender);
    writing.await?
}

/// Hands every row over; false where nobody takes them any more.
async fn hand_over<N: Rows>(
    rows: &mut N,
    snapshot: &mut Snapshot,
    parts: &mpsc::Sender<Part<N::Row>>,
    trail: &mut Trail,
    so_far: &RowsSoFar,
) -> Result<bool, DbError> {
    let mut read = rows.read(snapshot);
    let mut batch = Vec::with_capacity(BATCH);
    let mut number = 0;
    while let Some(row) = read.try_next().await? {
        number += 1;
        trail.before_row(number).await?;
        batch.push(row);
        if batch.len() == BATCH {
            so_far.set(number);
            if parts.send(Part::Rows(take(&mut batch))).await.is_err() {
                return Ok(false);
            }
        }
    }
    so_far.set(number);
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
