//! Writes workbooks on a background thread, into a temporary file without a name.
//!
//! One thread reads and writes. Reading on a second thread made an export a third faster on an idle machine, but delayed
//! all other work on a busy one.

use std::fs::File;
use std::io::Seek;
use std::mem::take;
use std::panic::AssertUnwindSafe;

use chrono_tz::Tz;
use futures_util::{FutureExt, TryStreamExt};
use tokio::sync::oneshot;
use tokio::task::coop::consume_budget;
use tracing::Instrument;

use super::audit::{COMPLETE, ExportAudit, ExportRequester};
use super::exporter::{ExportError, Exporter, RowCounter, StartedExport};
use super::lines::StreamError;
use super::quota::ExportedRows;
use super::source::{ExportSource, RowReader};
use super::throttle::{Throttle, spawn_background_thread};
use crate::db::snapshot::Snapshot;
use crate::tabular::FileOptions;
use crate::tabular::columns::{Column, select_columns};
use crate::tabular::xlsx::{Summary, WorkbookWriter};

/// A complete workbook.
pub struct WorkbookFile {
    /// Positioned at its start. The file disappears when it is closed.
    pub file: File,
    pub bytes: u64,
    pub rows: u64,
}

impl Exporter {
    /// Writes a workbook whose data sheets have at most `max_sheet_rows` rows.
    pub async fn write_workbook<S: ExportSource>(
        &self,
        source: &S,
        options: &FileOptions,
        requester: &ExportRequester,
        max_sheet_rows: u32,
        row_counter: &RowCounter,
    ) -> Result<WorkbookFile, ExportError> {
        let columns = select_columns(S::COLUMNS, &options.columns)?;
        let StartedExport { mut snapshot, permit, audit, exported, throttle, .. } =
            self.start(source, options, requester).await?;
        // The snapshot is taken by its first statement, which follows.
        let snapshot_at = self.clock.now();
        let summary = Summary {
            columns: S::SUMMARY_COLUMNS,
            rows: source.summary(&mut snapshot).await?,
            snapshot_at,
            filters: source.filters(),
            notes: source.notes(),
        };
        let reader = source.reader(&columns);
        let writer =
            Writer { title: S::TITLE, columns, zone: options.zone, max_sheet_rows, summary, audit, exported, throttle };
        let (row_counter, (sender, receiver)) = (row_counter.clone(), oneshot::channel());
        let task = async move || {
            writer.run(reader, snapshot, &row_counter, sender).await;
            drop(permit);
        };
        let span = tracing::Span::current();
        spawn_background_thread(move || task().instrument(span)).map_err(ExportError::Thread)?;
        receiver.await.unwrap_or(Err(ExportError::WriterFailed))
    }
}

struct Writer<R: 'static, S: 'static> {
    title: &'static str,
    columns: Vec<&'static Column<R>>,
    zone: Tz,
    max_sheet_rows: u32,
    summary: Summary<S>,
    audit: ExportAudit,
    exported: ExportedRows,
    throttle: Throttle,
}

impl<R: Send + 'static, S> Writer<R, S> {
    async fn run(
        mut self,
        reader: impl RowReader<Row = R>,
        snapshot: Snapshot,
        row_counter: &RowCounter,
        mut sender: oneshot::Sender<Result<WorkbookFile, ExportError>>,
    ) {
        let result = {
            // The library panics if it cannot write its temporary files.
            let writing = AssertUnwindSafe(self.write(reader, snapshot, row_counter)).catch_unwind();
            tokio::select! {
                written = writing => Some(written.unwrap_or(Err(ExportError::WriterFailed))),
                () = sender.closed() => None,
            }
        };
        let rows = row_counter.get();
        let outcome = match &result {
            Some(Ok(_)) => COMPLETE.to_owned(),
            Some(Err(error)) => error.to_string(),
            None => StreamError::ReceiverGone.to_string(),
        };
        self.audit.finish(rows, &outcome).await;
        self.exported.count(rows).await;
        if let Some(result) = result {
            // The receiver may be gone.
            let _sent = sender.send(result);
        } else {
            tracing::warn!(rows, "workbook aborted after {rows} rows: {outcome}");
        }
    }

    async fn write(
        &mut self,
        mut reader: impl RowReader<Row = R>,
        mut snapshot: Snapshot,
        row_counter: &RowCounter,
    ) -> Result<WorkbookFile, ExportError> {
        let mut workbook = WorkbookWriter::new(self.title, take(&mut self.columns), self.zone, self.max_sheet_rows)?;
        reader.count(&mut snapshot).await?;
        let mut rows = reader.read(&mut snapshot);
        while let Some(row) = rows.try_next().await? {
            self.audit.before_row(workbook.rows() + 1).await?;
            workbook.write_row(&row)?;
            row_counter.set(workbook.rows());
            self.throttle.pause_if_due();
            // PostgreSQL is faster than this loop: without a yield, nothing would notice that the receiver is gone.
            consume_budget().await;
        }
        drop(rows);
        snapshot.close().await?;
        let rows = workbook.rows();
        let mut file = tempfile::tempfile()?;
        workbook.finish(&self.summary, &mut file)?;
        let bytes = file.stream_position()?;
        file.rewind()?;
        tracing::info!(rows, bytes, "exported {rows} rows");
        Ok(WorkbookFile { file, bytes, rows })
    }
}
