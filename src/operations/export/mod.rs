//! Writes a file of rows: as lines that are sent while they are read, or as a workbook that is sent when it is whole.
//!
//! Either reads one snapshot, row by row, and only as fast as whoever takes the file: a slow reader holds back the
//! database, not the memory. As that keeps a connection and a snapshot, only a few exports are under way at once in a
//! process, and a reader that takes nothing for a while is given up. Whatever goes wrong in the middle is an error to whoever
//! reads, never an end.

mod audit;
mod lines;
pub mod open;
pub mod request;
pub mod run;
pub mod sources;
pub mod spec;
pub mod store;
mod throttle;
mod workbook;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::BoxStream;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::audit::ExportAudit;
use self::throttle::{Throttle, ThrottlePolicy};
use crate::clock::Clock;
use crate::db::DbError;
use crate::db::count::Count;
use crate::db::snapshot::Snapshot;
use crate::domain::access::Principal;
use crate::tabular::columns::{ChoiceError, Column};
use crate::tabular::xlsx::WorkbookError;
use crate::tabular::{FileOptions, Format};

pub use audit::UNAUDITED_ROWS;
pub use lines::{Chunks, Stop};
pub use throttle::Requests;
pub use workbook::Written;

/// The most exports at once in a process: most of the connections are for those who ask little.
const MOST_AT_ONCE: u32 = 4;
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// What can be exported: rows of one kind, and what is told of them.
pub trait ExportSource: Send + Sync + 'static {
    /// A row.
    type Row: Send + 'static;
    /// A row of the table on a workbook's summary sheet.
    type Line: Send + 'static;

    /// What its file is called.
    const NAME: &'static str;
    /// What its sheets are called.
    const TITLE: &'static str;
    /// Everything that can be told of a row.
    const COLUMNS: &'static [Column<Self::Row>];
    /// The columns of the table on a workbook's summary sheet; empty if it has no table.
    const SUMMARY: &'static [Column<Self::Line>];

    /// What the file is called.
    fn file_name(&self, format: Format) -> String;

    /// The filters that are set, by their names, with their values.
    fn filters(&self) -> Vec<(&'static str, String)>;

    /// What else whoever opens a workbook in a year has to know.
    fn remarks(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    /// Its rows, to be read as far as these columns tell of them.
    fn rows(&self, columns: &[&'static Column<Self::Row>]) -> impl Rows<Row = Self::Row>;

    /// The rows of the table on a workbook's summary sheet.
    fn summary(&self, _snapshot: &mut Snapshot) -> impl Future<Output = Result<Vec<Self::Line>, DbError>> + Send {
        async { Ok(vec![]) }
    }
}

/// The filters that have values, each with its values by commas.
fn with_values(filters: impl IntoIterator<Item = (&'static str, Vec<String>)>) -> Vec<(&'static str, String)> {
    let set = filters.into_iter().filter(|(_, values)| !values.is_empty());
    set.map(|(name, values)| (name, values.join(","))).collect()
}

/// Rows that are read.
pub trait Rows: Send + 'static {
    /// A row.
    type Row: Send + 'static;

    /// How many there are, as far as that is worth finding out. Asked for before they are read.
    fn count(&mut self, snapshot: &mut Snapshot) -> impl Future<Output = Result<Count, DbError>> + Send;

    /// The rows, as fast as they are taken.
    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Self::Row, DbError>>;
}

/// How many rows have been read so far, for whoever waits for the rest.
#[derive(Debug, Clone, Default)]
pub struct RowsSoFar(Arc<AtomicU64>);

impl RowsSoFar {
    /// So many.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, rows: u64) {
        self.0.store(rows, Ordering::Relaxed);
    }
}

/// Where files are written from.
pub struct Exports {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    patience: Duration,
    waits: bool,
    throttle_policy: ThrottlePolicy,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// As many as may be are under way.
    #[error("as many exports as may be are under way: try again when one of them is done, or ask for less")]
    Busy,
    /// A column is wanted that there is not.
    #[error(transparent)]
    Columns(#[from] ChoiceError),
    /// The database cannot be read.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The workbook cannot be written.
    #[error(transparent)]
    Workbook(#[from] WorkbookError),
    /// There is no room for a temporary file.
    #[error("a temporary file cannot be written ({0}): is there room where TMPDIR points to?")]
    File(#[from] std::io::Error),
    /// There is no thread to write it.
    #[error("no thread can be started for an export ({0}): try again, or let fewer processes run here")]
    Thread(std::io::Error),
    /// The library panicked, as it does where it cannot write its temporary files.
    #[error("the workbook was given up: is there room where TMPDIR points to?")]
    GivenUp,
}

impl Exports {
    /// Reads from `pool`.
    #[must_use]
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self::with_patience(pool, clock, PATIENCE)
    }

    /// The same with other patience for readers that take nothing.
    #[must_use]
    pub fn with_patience(pool: PgPool, clock: Arc<dyn Clock>, patience: Duration) -> Self {
        let places = (pool.options().get_max_connections() / 2).clamp(1, MOST_AT_ONCE);
        let throttle_policy = ThrottlePolicy::WhileOthersAsk(Requests::default());
        Self { pool, clock, places: Arc::new(Semaphore::new(places as usize)), patience, waits: false, throttle_policy }
    }

    /// The same for a process that is asked for something else as well, and counts what.
    #[must_use]
    pub fn beside(self, requests: Requests) -> Self {
        Self { throttle_policy: ThrottlePolicy::WhileOthersAsk(requests), ..self }
    }

    /// The same for jobs, which wait for a place rather than be refused, and let others go first.
    #[must_use]
    pub fn for_jobs(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { waits: true, throttle_policy: ThrottlePolicy::Always, ..Self::new(pool, clock) }
    }

    /// How many rows a subject has, as far as that is worth finding out.
    ///
    /// # Errors
    /// [`DbError`] where the database cannot be read.
    pub async fn count(&self, subject: &impl ExportSource) -> Result<Count, DbError> {
        let mut snapshot = Snapshot::open(&self.pool).await?;
        let count = subject.rows(&[]).count(&mut snapshot).await?;
        snapshot.close().await?;
        Ok(count)
    }

    /// Takes a place, and a view of the database as it is now.
    async fn begin<S: ExportSource>(
        &self,
        subject: &S,
        form: &FileOptions,
        by: &Principal,
    ) -> Result<Export, ExportError> {
        let places = Arc::clone(&self.places);
        let place = if self.waits { places.acquire_owned().await.ok() } else { places.try_acquire_owned().ok() };
        let place = place.ok_or(ExportError::Busy)?;
        let trail = ExportAudit::of(self, subject, form, by);
        let snapshot = Snapshot::open(&self.pool).await?;
        Ok(Export { snapshot, place, patience: self.patience, trail, rests: Throttle::begin(&self.throttle_policy) })
    }
}

/// An export that has begun.
struct Export {
    snapshot: Snapshot,
    /// Dropped last.
    place: OwnedSemaphorePermit,
    patience: Duration,
    trail: ExportAudit,
    rests: Throttle,
}
