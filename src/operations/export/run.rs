//! Makes a file that was asked for, and keeps it where every web process finds it.
//!
//! Each attempt writes a file of its own, named after its claim: one that was thought dead and comes back writes into nothing
//! that anybody reads. What it leaves is deleted with what is old.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use uuid::Uuid;

use super::spec::{ExportOutput, ExportSpec};
use super::store::{ExportFiles, FileError, FileWriter};
use super::{Chunks, ExportError, Exports, RowsSoFar, Stop, Written};
use crate::clock::Clock;
use crate::db::exports::{self, FinishedExport};
use crate::db::jobs::claims;
use crate::db::{DbError, events};
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::operations::publish_events::publish_events;
use crate::redis::Redis;

/// How long a file is kept.
pub const KEPT: TimeDelta = TimeDelta::hours(24);
/// How often it is told how far the file has come.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How much of a workbook is read at once.
const PART_BYTES: usize = 256 << 10;

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Nobody asked for it any more.
    #[error("there is no export {0} any more: ask for it again")]
    Unknown(Uuid),
    /// What is wanted was written by another release.
    #[error("what is wanted cannot be read ({0}): ask for the export again")]
    Spec(#[from] serde_json::Error),
    /// It cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// It broke off in the middle.
    #[error("the file broke off: {0}")]
    BrokeOff(#[from] Stop),
    /// It cannot be kept.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<DbError> for MakeError {
    fn from(error: DbError) -> Self {
        Self::Export(error.into())
    }
}

/// What a file is made with.
pub struct ExportRunner<'a> {
    /// The truth.
    pub pool: &'a PgPool,
    /// Redis.
    pub redis: &'a Redis,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Where rows are read.
    pub exports: &'a Exports,
    /// Where files are kept.
    pub files: &'a ExportFiles,
}

impl ExportRunner<'_> {
    /// Makes the file of `id`, in the name of the claim, and says how many rows and bytes it has.
    ///
    /// # Errors
    /// [`MakeError`] where it was not made; [`DbError::ClaimLost`] in it where another worker has the job by now.
    pub async fn make_export(&self, claim: &Claim, id: Uuid) -> Result<FinishedExport, MakeError> {
        let wanted = exports::assign_job(self.pool, id, claim.job_id).await?.ok_or(MakeError::Unknown(id))?;
        let order: ExportSpec = serde_json::from_value(wanted)?;
        let total = order.count(self.exports).await?;
        let so_far = RowsSoFar::default();
        let stored_as = format!("{id}-{}", claim.epoch);
        let writing = async {
            let mut file = self.files.create(&stored_as);
            let rows = match order.begin(self.exports, &so_far).await? {
                ExportOutput::Lines(chunks) => write_lines(chunks, &mut file).await.map(|()| so_far.get())?,
                ExportOutput::Workbook(workbook) => write_workbook(workbook, &mut file).await?,
            };
            Ok::<_, MakeError>((rows, file.finish().await?))
        };
        let (rows, bytes) = tokio::select! {
            written = writing => written?,
            error = self.tell(claim, &so_far, total.exact.then_some(total.total)) => return Err(error.into()),
        };
        let finished = FinishedExport { stored_as, rows, bytes, expires_at: self.clock.now() + KEPT };
        self.finish(claim, id, &finished).await?;
        Ok(finished)
    }

    /// Tells again and again how far the file has come, for as long as the claim holds.
    async fn tell(&self, claim: &Claim, so_far: &RowsSoFar, total: Option<u64>) -> DbError {
        let mut ticks = interval_at(Instant::now(), TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.hold(claim, &progress(so_far.get(), total)).await {
                return error;
            }
        }
    }

    async fn hold(&self, claim: &Claim, progress: &Value) -> Result<(), DbError> {
        claims::verify_claim(&mut *self.pool.acquire().await?, claim, progress).await
    }

    async fn finish(&self, claim: &Claim, id: Uuid, finished: &FinishedExport) -> Result<(), DbError> {
        let now = self.clock.now();
        let mut transaction = self.pool.begin().await?;
        exports::finish(&mut transaction, id, finished, now).await?;
        claims::verify_claim(&mut transaction, claim, &progress(finished.rows, Some(finished.rows))).await?;
        let recorded = events::insert(&mut transaction, vec![Event::ExportReady { id }], now).await?;
        transaction.commit().await?;
        publish_events(self.redis, &recorded).await;
        Ok(())
    }
}

fn progress(rows: u64, total: Option<u64>) -> Value {
    json!({ "progress": rows, "total": total })
}

async fn write_lines(chunks: Chunks, file: &mut FileWriter) -> Result<(), MakeError> {
    let mut chunks = std::pin::pin!(chunks.into_stream());
    while let Some(chunk) = chunks.try_next().await? {
        file.write(Bytes::from(chunk)).await?;
    }
    Ok(())
}

async fn write_workbook(workbook: Written, file: &mut FileWriter) -> Result<u64, MakeError> {
    let mut from = tokio::fs::File::from_std(workbook.file);
    loop {
        let mut part = Vec::with_capacity(PART_BYTES);
        (&mut from).take(PART_BYTES as u64).read_to_end(&mut part).await.map_err(ExportError::File)?;
        if part.is_empty() {
            return Ok(workbook.rows);
        }
        file.write(Bytes::from(part)).await?;
    }
}

/// Deletes files that nobody may download any more, those that were given up among them.
///
/// # Errors
/// [`FileError`] where the store refuses.
pub async fn prune_files(files: &ExportFiles, now: DateTime<Utc>) -> Result<u64, FileError> {
    // A file may have been begun hours before it was whole.
    files.prune(now - KEPT - TimeDelta::hours(3)).await
}
