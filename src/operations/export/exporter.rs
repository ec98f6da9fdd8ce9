//! Starts exports: limits how many run at a time, and opens the snapshot that each one reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::audit::{ExportAudit, ExportRequester};
use super::quota::ExportedRows;
use super::receiver::{Receiver, ReceiverLimits};
use super::source::{ExportSource, RowReader};
use super::throttle::{RequestCounter, Throttle, ThrottlePolicy};
use crate::clock::Clock;
use crate::db::DbError;
use crate::db::count::Count;
use crate::db::reads::ReadPools;
use crate::db::snapshot::Snapshot;
use crate::domain::export_quota::{ExportQuota, QuotaExceeded};
use crate::tabular::FileOptions;
use crate::tabular::columns::ColumnError;
use crate::tabular::xlsx::WorkbookError;

/// The most exports that a process runs at a time: most connections stay free for short requests.
const MAX_CONCURRENT: u32 = 4;

/// The number of rows written so far, shared with the code that reports progress.
#[derive(Debug, Clone, Default)]
pub struct RowCounter(Arc<AtomicU64>);

impl RowCounter {
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, rows: u64) {
        self.0.store(rows, Ordering::Relaxed);
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("too many exports are running: try again when one of them has finished, or narrow the filters")]
    Busy,
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    #[error(transparent)]
    Columns(#[from] ColumnError),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Workbook(#[from] WorkbookError),
    #[error("cannot write a temporary file ({0}): check the free space in TMPDIR")]
    TempFile(#[from] std::io::Error),
    #[error("cannot start a thread for the export ({0}): try again, or run fewer processes on this host")]
    Thread(std::io::Error),
    /// The workbook library panics if it cannot write its temporary files.
    #[error("the workbook writer failed: check the free space in TMPDIR")]
    WriterFailed,
}

/// Writes files of rows that it reads from the database.
pub struct Exporter {
    reads: ReadPools,
    pub(super) clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    receiver_limits: ReceiverLimits,
    quota: ExportQuota,
    waits_for_permit: bool,
    throttle_policy: ThrottlePolicy,
}

impl Exporter {
    #[must_use]
    pub fn new(reads: ReadPools, clock: Arc<dyn Clock>) -> Self {
        let permits = (reads.primary().options().get_max_connections() / 2).clamp(1, MAX_CONCURRENT);
        let permits = Arc::new(Semaphore::new(permits as usize));
        let throttle_policy = ThrottlePolicy::WhileOthersRequest(RequestCounter::default());
        let receiver_limits = ReceiverLimits::DEFAULT;
        let quota = ExportQuota::default();
        Self { reads, clock, permits, receiver_limits, quota, waits_for_permit: false, throttle_policy }
    }

    #[must_use]
    pub fn with_receiver_limits(self, receiver_limits: ReceiverLimits) -> Self {
        Self { receiver_limits, ..self }
    }

    /// Rows are always counted; a default quota has no limit.
    #[must_use]
    pub fn with_quota(self, quota: ExportQuota) -> Self {
        Self { quota, ..self }
    }

    #[must_use]
    pub fn quota(&self) -> &ExportQuota {
        &self.quota
    }

    #[must_use]
    pub fn receiver_limits(&self) -> ReceiverLimits {
        self.receiver_limits
    }

    /// For a process that also answers other requests, which `requests` counts: exports slow down while they come in.
    #[must_use]
    pub fn with_request_counter(self, requests: RequestCounter) -> Self {
        Self { throttle_policy: ThrottlePolicy::WhileOthersRequest(requests), ..self }
    }

    /// For jobs: they wait for a permit instead of failing with [`ExportError::Busy`], and are always throttled.
    #[must_use]
    pub fn for_jobs(reads: ReadPools, clock: Arc<dyn Clock>) -> Self {
        let exporter = Self::new(reads, clock).with_receiver_limits(ReceiverLimits::OF_JOBS);
        Self { waits_for_permit: true, throttle_policy: ThrottlePolicy::Always, ..exporter }
    }

    /// The number of rows of `source`, exact unless counting would cost too much.
    pub async fn count<S: ExportSource>(&self, source: &S) -> Result<Count, DbError> {
        let mut snapshot = self.open::<S>().await?;
        let count = source.reader(&[]).count(&mut snapshot).await?;
        snapshot.close().await?;
        Ok(count)
    }

    async fn open<S: ExportSource>(&self) -> Result<Snapshot, DbError> {
        if S::FROM_PAYMENTS {
            self.reads.open_for_export().await
        } else {
            Snapshot::open_for_export(self.reads.primary()).await
        }
    }

    /// Takes a permit and opens a snapshot.
    pub(super) async fn start<S: ExportSource>(
        &self,
        source: &S,
        options: &FileOptions,
        requester: &ExportRequester,
    ) -> Result<StartedExport, ExportError> {
        let exported = ExportedRows::new(self.reads.primary(), &self.clock, self.quota, requester.principal());
        // An order was checked when it was made.
        if self.quota.rows_limit > 0 && !self.waits_for_permit {
            self.quota.check_rows(exported.today().await?)?;
        }
        let permits = Arc::clone(&self.permits);
        let permit =
            if self.waits_for_permit { permits.acquire_owned().await.ok() } else { permits.try_acquire_owned().ok() };
        Ok(StartedExport {
            permit: permit.ok_or(ExportError::Busy)?,
            audit: ExportAudit::new(self.reads.primary(), &self.clock, source, options, requester),
            exported,
            snapshot: self.open::<S>().await?,
            receiver: Receiver::new(self.receiver_limits),
            throttle: Throttle::start(&self.throttle_policy),
        })
    }
}

pub(super) struct StartedExport {
    pub(super) snapshot: Snapshot,
    /// Must be dropped last.
    pub(super) permit: OwnedSemaphorePermit,
    pub(super) receiver: Receiver,
    pub(super) audit: ExportAudit,
    pub(super) exported: ExportedRows,
    pub(super) throttle: Throttle,
}
