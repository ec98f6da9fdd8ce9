//! Counts of listings that stop early: an exact count of a rare filter could visit every row.

/// A count stops after visiting this many rows one by one (the contract's `total_relation`).
pub(in crate::db) const MAX_VISITED: i64 = 100_000;

/// How many rows a filter finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The rows found among those that were visited.
    pub total: u64,
    /// Whether every row was visited; if not, `total` is a lower bound.
    pub exact: bool,
}

impl Count {
    /// The query visits at most `MAX_VISITED + 1` rows: if it visited that many, there may be more.
    pub(in crate::db) fn from_visited(found: i64, visited: i64) -> Self {
        Self::from_at_most(MAX_VISITED, found, visited)
    }

    /// The same of a query that visits at most `most + 1` rows.
    pub(in crate::db) fn from_at_most(most: i64, found: i64, visited: i64) -> Self {
        Self { total: found.unsigned_abs(), exact: visited <= most }
    }
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { total: self.total + other.total, exact: self.exact && other.exact }
    }
}
