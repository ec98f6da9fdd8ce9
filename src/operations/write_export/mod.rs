//! Writes a file of rows: as lines that are sent while they are read, or as a workbook that is sent when it is whole.
//!
//! Either reads one snapshot, row by row, and only as fast as whoever takes the file: a slow reader holds back the
//! database, not the memory. As that keeps a connection and a snapshot, only a few exports are under way at once in a
//! process, and a reader that takes nothing for a while is given up. Whatever goes wrong in the middle is an error to whoever
//! reads, never an end.

mod lines;
pub mod reconciliation;
mod workbook;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::snapshot::Snapshot;
use crate::export::xlsx::WorkbookError;

pub use lines::{Chunks, Stop};
pub use workbook::Written;

/// The most exports at once in a process: most of the connections are for those who ask little.
const MOST_AT_ONCE: u32 = 4;
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is exported: rows of one kind.
pub trait Rows: Send + 'static {
    /// A row.
    type Row: Send + 'static;

    /// How many there are, as far as that is worth finding out.
    fn count(&self, snapshot: &mut Snapshot) -> impl Future<Output = Result<Count, DbError>> + Send;

    /// The rows, as fast as they are taken.
    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Self::Row, DbError>>;
}

/// Where files are written from.
pub struct Exports {
    pool: PgPool,
    places: Arc<Semaphore>,
    patience: Duration,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// As many as may be are under way.
    #[error("as many exports as may be are under way: try again when one of them is done, or ask for less")]
    Busy,
    /// The database cannot be read.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The workbook cannot be written.
    #[error(transparent)]
    Workbook(#[from] WorkbookError),
    /// There is no room for a temporary file.
    #[error("a temporary file cannot be written ({0}): is there room where TMPDIR points to?")]
    File(#[from] std::io::Error),
    /// The thread that writes it panicked: the library does where it cannot write its temporary files.
    #[error("the workbook was given up ({0}): is there room where TMPDIR points to?")]
    GivenUp(#[from] tokio::task::JoinError),
}

impl Exports {
    /// Reads from `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self::with_patience(pool, PATIENCE)
    }

    /// The same with other patience for readers that take nothing.
    #[must_use]
    pub fn with_patience(pool: PgPool, patience: Duration) -> Self {
        let places = (pool.options().get_max_connections() / 2).clamp(1, MOST_AT_ONCE);
        Self { pool, places: Arc::new(Semaphore::new(places as usize)), patience }
    }

    /// Takes a place, and a view of the database as it is now.
    async fn begin(&self) -> Result<Export, ExportError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| ExportError::Busy)?;
        Ok(Export { snapshot: Snapshot::open(&self.pool).await?, place, patience: self.patience })
    }
}

/// An export that has begun.
struct Export {
    snapshot: Snapshot,
    /// Dropped last.
    place: OwnedSemaphorePermit,
    patience: Duration,
}
