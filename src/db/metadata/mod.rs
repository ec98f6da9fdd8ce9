//! Who takes part at `PayShack`: a file a list, the balances, and when each list was read.
//!
//! The lists are short and read again and again, and hardly ever change. So what is told is compared here, in the statement
//! that writes it, and an unchanged row is neither written nor locked; that it was seen follows from when its list was read.

pub mod balances;
pub mod clients;
pub mod lists;
pub mod resellers;
pub mod service_providers;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::db::types::escape_like;

/// What was written of the rows of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpsertCounts {
    /// So many for the first time.
    pub inserted: u64,
    /// So many over what was known, or because they are listed again.
    pub updated: u64,
}

impl UpsertCounts {
    fn of(inserted: i64, updated: i64) -> Self {
        Self { inserted: inserted.unsigned_abs(), updated: updated.unsigned_abs() }
    }
}

/// A row of a list as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow<Row> {
    /// What `PayShack` last said of it.
    pub row: Row,
    /// Whether the list, as it was last read, names it.
    pub listed: bool,
    /// When it was first listed.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last listed.
    pub last_seen_at: DateTime<Utc>,
    /// When what is stored of it last changed.
    pub changed_at: DateTime<Utc>,
}

/// Which rows of a list are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListFilter {
    /// Part of the name or the id.
    pub search: Option<String>,
    /// Active or not; those of which that is unknown are neither.
    pub is_active: Option<bool>,
    /// Listed or no longer.
    pub listed: Option<bool>,
}

impl ListFilter {
    fn pattern(&self) -> Option<String> {
        self.search.as_ref().map(|text| format!("%{}%", escape_like(text)))
    }
}

/// A row's place in a listing: its name, or none, then its id.
pub type NameCursor = (String, String);

/// Which part of a listing is wanted. Rows are sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// It begins after this place.
    pub after: Option<NameCursor>,
    /// Then so many rows are passed over.
    pub offset: i64,
    /// So many are wanted.
    pub limit: i64,
}
