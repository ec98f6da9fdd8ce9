//! Workbooks: read and written in a thread of their own, which lets others go first, into a temporary file without a name.
//!
//! One thread does both: to read in another one made it a third faster where nobody else wants the processors, and held up
//! everybody where somebody does.

use std::fs::File;
use std::io::Seek;
use std::mem::take;
use std::panic::AssertUnwindSafe;

use chrono_tz::Tz;
use futures_util::{FutureExt, TryStreamExt};
use tokio::sync::oneshot;
use tokio::task::coop::consume_budget;
use tracing::Instrument;

use super::audit::ExportAudit;
use super::throttle::{Throttle, run_behind};
use super::{Export, ExportError, ExportSource, Exports, Rows, RowsSoFar, Stop};
use crate::db::snapshot::Snapshot;
use crate::domain::access::Principal;
use crate::tabular::FileOptions;
use crate::tabular::columns::{Column, choose};
use crate::tabular::xlsx::{Book, Summary};

/// A workbook, whole.
pub struct Written {
    /// It, from its beginning. It goes when it is closed.
    pub file: File,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
}

impl Exports {
    /// Writes a workbook, in the name of `by`, whose sheets have at most so many rows.
    ///
    /// # Errors
    /// [`ExportError`] where it cannot be written.
    pub async fn workbook<S: ExportSource>(
        &self,
        subject: &S,
        form: &FileOptions,
        by: &Principal,
        rows_of_a_sheet: u32,
        so_far: &RowsSoFar,
    ) -> Result<Written, ExportError> {
        let columns = choose(S::COLUMNS, &form.columns)?;
        let Export { mut snapshot, place, trail, rests, .. } = self.begin(subject, form, by).await?;
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
        let writer = Writer { title: S::TITLE, columns, zone: form.zone, rows_of_a_sheet, summary, trail, rests };
        let (so_far, (taker, written)) = (so_far.clone(), oneshot::channel());
        let task = async move || {
            writer.run(rows, snapshot, &so_far, taker).await;
            drop(place);
        };
        let span = tracing::Span::current();
        run_behind(move || task().instrument(span)).map_err(ExportError::Thread)?;
        written.await.unwrap_or(Err(ExportError::GivenUp))
    }
}

/// Whoever waits for the workbook.
type Taker = oneshot::Sender<Result<Written, ExportError>>;

/// What a workbook is made of beside its rows.
struct Writer<R: 'static, S: 'static> {
    title: &'static str,
    columns: Vec<&'static Column<R>>,
    zone: Tz,
    rows_of_a_sheet: u32,
    summary: Summary<S>,
    trail: ExportAudit,
    rests: Throttle,
}

impl<R: Send + 'static, S> Writer<R, S> {
    async fn run(mut self, rows: impl Rows<Row = R>, snapshot: Snapshot, so_far: &RowsSoFar, mut taker: Taker) {
        let ended = {
            // The library panics where it cannot write its temporary files.
            let writing = AssertUnwindSafe(self.write(rows, snapshot, so_far)).catch_unwind();
            tokio::select! {
                written = writing => Some(written.unwrap_or(Err(ExportError::GivenUp))),
                () = taker.closed() => None,
            }
        };
        let rows = so_far.get();
        let outcome = match &ended {
            Some(Ok(_)) => "complete".to_owned(),
            Some(Err(error)) => error.to_string(),
            None => Stop::Gone.to_string(),
        };
        self.trail.end(rows, &outcome).await;
        if let Some(written) = ended {
            // Nobody may be there any more.
            let _taken = taker.send(written);
        } else {
            tracing::warn!(rows, "a workbook was given up after {rows} rows: {outcome}");
        }
    }

    async fn write(
        &mut self,
        mut rows: impl Rows<Row = R>,
        mut snapshot: Snapshot,
        so_far: &RowsSoFar,
    ) -> Result<Written, ExportError> {
        let mut book = Book::begin(self.title, take(&mut self.columns), self.zone, self.rows_of_a_sheet)?;
        rows.count(&mut snapshot).await?;
        let mut read = rows.read(&mut snapshot);
        while let Some(row) = read.try_next().await? {
            self.trail.before_row(book.rows() + 1).await?;
            book.row(&row)?;
            so_far.set(book.rows());
            self.rests.rest();
            // PostgreSQL is faster than this: without a pause nobody would look whether somebody still wants it.
            consume_budget().await;
        }
        drop(read);
        snapshot.close().await?;
        let rows = book.rows();
        let mut file = tempfile::tempfile()?;
        book.finish(&self.summary, &mut file)?;
        let bytes = file.stream_position()?;
        file.rewind()?;
        tracing::info!(rows, bytes, "exported {rows} rows");
        Ok(Written { file, bytes, rows })
    }
}
