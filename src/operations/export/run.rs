//! Runs a requested export and stores its file where every web process can read it.
//!
//! Each attempt writes its own file, named after its claim: a worker that was presumed dead and resumes writes a file that
//! is never read. Such leftovers are pruned with the expired files. An attempt after the file was finished writes nothing:
//! the file may have been downloaded, or deleted, meanwhile.
//!
//! The key that requested the export is checked in the database while the file is written, because a worker has no list of keys.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::Instrument;
use uuid::Uuid;

use super::exporter::{ExportError, Exporter, RowCounter};
use super::lines::{LineStream, StreamError};
use super::spec::{ExportOutput, ExportSpec};
use super::store::{ExportStore, ExportStoreError, ExportWriter};
use super::workbook::WorkbookFile;
use crate::clock::Clock;
use crate::db::access::api_keys;
use crate::db::exports::{self, ExportSize, FinishedExport};
use crate::db::jobs::claims;
use crate::db::reports::runs;
use crate::db::{DbError, events, jobs};
use crate::domain::access::Principal;
use crate::domain::access::key::KeyEnd;
use crate::domain::event::Event;
use crate::domain::job::{Claim, JobId, NewJob, Trigger};
use crate::domain::retention::EXPORT_DOWNLOAD_TIME;
use crate::operations::enqueue_job::send_wakeup;
use crate::operations::publish_events::publish_events;
use crate::redis::Redis;

const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How much of a workbook is copied to the store at a time.
const COPY_BYTES: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum ExportRunError {
    #[error("export {0} no longer exists: request it again")]
    NotFound(Uuid),
    /// It was stored by another release.
    #[error("the stored specification of the export is unreadable ({0}): request the export again")]
    Spec(#[from] serde_json::Error),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("the export was aborted: {0}")]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Store(#[from] ExportStoreError),
    #[error("the export was stopped ({0}): request it again with a valid key")]
    KeyEnded(KeyEnd),
}

impl From<DbError> for ExportRunError {
    fn from(error: DbError) -> Self {
        Self::Export(error.into())
    }
}

pub struct ExportRunner<'a> {
    pub pool: &'a PgPool,
    pub redis: &'a Redis,
    pub clock: &'a dyn Clock,
    pub exporter: &'a Exporter,
    pub store: &'a ExportStore,
}

impl ExportRunner<'_> {
    /// Runs export `id` under `claim`, unless an earlier attempt of the job has finished it. Fails with
    /// [`DbError::ClaimLost`] if another worker has claimed the job.
    pub async fn run(&self, claim: &Claim, id: Uuid) -> Result<ExportSize, ExportRunError> {
        if let Some(size) = exports::find_finished(self.pool, id, claim.job_id).await? {
            return Ok(size);
        }
        let stored = exports::assign_job(self.pool, id, claim.job_id).await?.ok_or(ExportRunError::NotFound(id))?;
        let spec: ExportSpec = serde_json::from_value(stored)?;
        let requested_by = &spec.requested_by;
        self.check_key(&mut *self.pool.acquire().await.map_err(DbError::from)?, requested_by).await?;
        let total = OnceLock::new();
        let row_counter = RowCounter::default();
        let stored_as = format!("{id}-{}", claim.epoch);
        let write = async {
            let count = spec.count(self.exporter).await?;
            // Only set here.
            let _set = total.set(count.exact.then_some(count.total));
            let mut file = self.store.create(&stored_as);
            let rows = match spec.export(self.exporter, id, &row_counter).await? {
                ExportOutput::Lines(lines) => copy_lines(lines, &mut file).await.map(|()| row_counter.get())?,
                ExportOutput::Workbook(workbook) => copy_workbook(workbook, &mut file).await?,
            };
            Ok::<_, ExportRunError>((rows, file.finish().await?))
        };
        let partial = PartialFile { store: self.store, name: Some(stored_as.clone()) };
        let (rows, bytes) = tokio::select! {
            written = write => written?,
            error = self.watch(claim, requested_by, &row_counter, &total) => return Err(error),
        };
        let size = ExportSize { rows, bytes };
        let finished = FinishedExport { stored_as, size, expires_at: self.clock.now() + EXPORT_DOWNLOAD_TIME };
        partial.keep();
        self.finish(claim, requested_by, id, &finished).await?;
        Ok(size)
    }

    /// Records the progress once a second. Returns only when the export must stop: the claim is lost, the key has ended, or the
    /// database fails.
    async fn watch(
        &self,
        claim: &Claim,
        requested_by: &Principal,
        row_counter: &RowCounter,
        total: &OnceLock<Option<u64>>,
    ) -> ExportRunError {
        let mut ticks = interval_at(Instant::now(), PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let progress = progress(row_counter.get(), total.get().copied().flatten());
            if let Err(error) = self.verify(claim, requested_by, &progress).await {
                return error;
            }
        }
    }

    async fn verify(&self, claim: &Claim, requested_by: &Principal, progress: &Value) -> Result<(), ExportRunError> {
        let mut connection = self.pool.acquire().await.map_err(DbError::from)?;
        claims::verify_claim(&mut connection, claim, progress).await?;
        self.check_key(&mut connection, requested_by).await
    }

    /// Keys of `API_KEYS` are not in the table, and valid as long as the web processes accept them.
    async fn check_key(&self, connection: &mut PgConnection, requested_by: &Principal) -> Result<(), ExportRunError> {
        let end = api_keys::find_end(connection, requested_by.key_id, self.clock.now()).await?;
        end.map_or(Ok(()), |end| Err(ExportRunError::KeyEnded(end)))
    }

    async fn finish(
        &self,
        claim: &Claim,
        requested_by: &Principal,
        id: Uuid,
        finished: &FinishedExport,
    ) -> Result<(), ExportRunError> {
        let now = self.clock.now();
        let mut transaction = self.pool.begin().await.map_err(DbError::from)?;
        self.check_key(&mut transaction, requested_by).await?;
        exports::finish(&mut transaction, id, finished, now).await?;
        claims::verify_claim(&mut transaction, claim, &progress(finished.size.rows, Some(finished.size.rows))).await?;
        let delivery = enqueue_delivery(&mut transaction, id).await?;
        let ready = Event::ExportReady { id, audience: Some(requested_by.file_audience()) };
        let recorded = events::insert(&mut transaction, vec![ready], now).await?;
        transaction.commit().await.map_err(DbError::from)?;
        publish_events(self.redis, &recorded).await;
        if let Some((queue, job_id)) = delivery {
            send_wakeup(self.redis, queue, job_id).await;
        }
        Ok(())
    }
}

/// If a report waits for the export, enqueues the job that delivers it. The job that ordered the export may not have ended yet, so it
/// is not joined.
async fn enqueue_delivery(
    connection: &mut PgConnection,
    export_id: Uuid,
) -> Result<Option<(&'static str, JobId)>, DbError> {
    let Some(run_id) = runs::find_of_export(connection, export_id).await? else { return Ok(None) };
    let job = NewJob { force: true, ..NewJob::deliver_report(run_id, Trigger::Schedule) };
    let job_id = jobs::insert_or_join(connection, &job).await?.job_id;
    runs::set_job(connection, run_id, job_id).await?;
    Ok(Some((job.kind.queue, job_id)))
}

/// The file of an attempt that has not ended: deleted with it if the job is cancelled, fails or is handed back.
struct PartialFile<'a> {
    store: &'a ExportStore,
    name: Option<String>,
}

impl PartialFile<'_> {
    fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for PartialFile<'_> {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let store = self.store.clone();
        // The job's task may be aborted, so it cannot wait for this itself.
        let deleting = async move {
            if let Err(error) = store.delete(&name).await {
                tracing::warn!(file = name, %error, "failed to delete an incomplete export, housekeeping will: {error}");
            }
        };
        tokio::spawn(deleting.in_current_span());
    }
}

fn progress(rows: u64, total: Option<u64>) -> Value {
    json!({ "progress": rows, "total": total })
}

async fn copy_lines(lines: LineStream, file: &mut ExportWriter) -> Result<(), ExportRunError> {
    let mut chunks = std::pin::pin!(lines.into_chunks());
    while let Some(chunk) = chunks.try_next().await? {
        file.write(Bytes::from(chunk)).await?;
    }
    Ok(())
}

async fn copy_workbook(workbook: WorkbookFile, file: &mut ExportWriter) -> Result<u64, ExportRunError> {
    let mut source = tokio::fs::File::from_std(workbook.file);
    loop {
        let mut part = Vec::with_capacity(COPY_BYTES);
        (&mut source).take(COPY_BYTES as u64).read_to_end(&mut part).await.map_err(ExportError::TempFile)?;
        if part.is_empty() {
            return Ok(workbook.rows);
        }
        file.write(Bytes::from(part)).await?;
    }
}
