//! PayShack's lists of clients, resellers and service providers, their balances, and when each list was read.
//!
//! The lists are short, read again and again, and hardly ever change. So the statement that writes a list compares it with the
//! stored rows, and neither writes nor locks unchanged ones. When a row was last seen follows from when its list was read.

pub mod balances;
pub mod lists;
mod tables;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor};

use super::DbError;
use super::page::PageWindow;
use super::types::escape_like;
use crate::domain::metadata::ListedRow;

/// A row of one of the lists, which has a table of its own.
pub trait MetadataTable: ListedRow + Sized {
    fn name(&self) -> Option<&str>;

    /// Writes the rows that are new, changed or listed again. There must be only one writer: callers hold the job's claim.
    fn upsert(
        connection: &mut PgConnection,
        rows: &[&Self],
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<UpsertCounts, DbError>> + Send;

    /// Marks the rows whose ids are not in `listed` as last seen when the list was read before. Returns how many there were.
    fn mark_unlisted(
        connection: &mut PgConnection,
        listed: &[String],
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<u64, DbError>> + Send;

    /// Sorted by name, then id.
    fn list<'a>(
        executor: impl PgExecutor<'a>,
        filter: &ListFilter,
        window: &PageWindow<NameCursor>,
    ) -> impl Future<Output = Result<Vec<StoredRow<Self>>, DbError>> + Send;

    fn count<'a>(
        executor: impl PgExecutor<'a>,
        filter: &ListFilter,
    ) -> impl Future<Output = Result<u64, DbError>> + Send;
}

/// How many rows of a list were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpsertCounts {
    pub inserted: u64,
    /// Changed, or listed again.
    pub updated: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow<Row> {
    pub row: Row,
    /// Whether the list contained the row when it was last read.
    pub listed: bool,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    /// When `row` or `listed` last changed.
    pub changed_at: DateTime<Utc>,
}

impl<Row: MetadataTable> StoredRow<Row> {
    #[must_use]
    pub fn cursor(&self) -> NameCursor {
        (self.row.name().unwrap_or_default().to_owned(), self.row.id().to_owned())
    }
}

/// `None` matches every row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListFilter {
    /// Part of the name or the id.
    pub search: Option<String>,
    /// Either value excludes rows for which PayShack does not say it.
    pub is_active: Option<bool>,
    pub listed: Option<bool>,
}

impl ListFilter {
    fn pattern(&self) -> Option<String> {
        self.search.as_ref().map(|text| format!("%{}%", escape_like(text)))
    }
}

/// A row's position in a listing: its name, or an empty text, then its id.
pub type NameCursor = (String, String);
