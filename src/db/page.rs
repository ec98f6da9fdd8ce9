//! The part of a listing that a caller wants.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// The position of a row in a listing sorted by time, then id.
pub type TimeCursor = (DateTime<Utc>, Uuid);

/// Which rows of a listing to read; `Cursor` is a row's position in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageWindow<Cursor> {
    /// Starts after this row; at the beginning if `None`.
    pub after: Option<Cursor>,
    /// Then skips this many rows.
    pub offset: i64,
    /// Reads at most this many rows.
    pub limit: i64,
}

impl<Cursor> PageWindow<Cursor> {
    /// Every row.
    pub const ALL: Self = Self { after: None, offset: 0, limit: i64::MAX };

    pub(in crate::db) fn push_limits(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" OFFSET ").push_bind(self.offset).push(" LIMIT ").push_bind(self.limit);
    }
}

impl PageWindow<TimeCursor> {
    /// Appends the condition, order and limits of a listing sorted by `time` and id, newest first.
    pub(in crate::db) fn push_newest_first(&self, query: &mut QueryBuilder<Postgres>, time: &str) {
        if let Some((after, id)) = self.after {
            query.push(format!(" AND ({time}, id) < (")).push_bind(after).push(", ").push_bind(id).push(")");
        }
        query.push(format!(" ORDER BY {time} DESC, id DESC"));
        self.push_limits(query);
    }
}
