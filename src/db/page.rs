//! The part of a listing that a caller wants.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::domain::string_enum::string_enum;

string_enum! {
    /// The direction of a sorted listing.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum SortOrder {
        /// Newest or largest first.
        #[default]
        Desc = "desc",
        Asc = "asc",
    }
}

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
        self.push_sorted(query, time, SortOrder::Desc);
    }

    /// Appends the condition, order and limits of a listing sorted by `time` and id.
    pub(in crate::db) fn push_sorted(&self, query: &mut QueryBuilder<Postgres>, time: &str, order: SortOrder) {
        let (comparison, direction) = match order {
            SortOrder::Desc => ("<", "DESC"),
            SortOrder::Asc => (">", "ASC"),
        };
        if let Some((after, id)) = self.after {
            query.push(format!(" AND ({time}, id) {comparison} ("));
            query.push_bind(after).push(", ").push_bind(id).push(")");
        }
        query.push(format!(" ORDER BY {time} {direction}, id {direction}"));
        self.push_limits(query);
    }
}
