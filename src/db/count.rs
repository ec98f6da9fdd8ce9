//! Counts: how many rows a listing has, and whether that was worth finding out; and how a count is stored.

/// A count that would have to look at more rows than these one by one stops there (the contract's `total_relation`).
pub(in crate::db) const MOST_VISITED: i64 = 100_000;

/// How many rows a filter finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// So many.
    pub total: u64,
    /// Whether that is all of them, or only those among as many as were looked at.
    pub exact: bool,
}

impl Count {
    /// So many found among so many that were visited: where these are more than [`MOST_VISITED`], there may be others.
    pub(in crate::db) fn among(found: i64, visited: i64) -> Self {
        Self { total: found.unsigned_abs(), exact: visited <= MOST_VISITED }
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.total += more.total;
        self.exact &= more.exact;
    }
}

/// A count as PostgreSQL's bigint.
pub(in crate::db) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
