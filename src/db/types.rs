//! Conversions between Rust values and PostgreSQL values, for all modules of `db`.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use super::DbError;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::{JobState, Trigger};
use crate::domain::metadata::{BalanceKind, OwnerKind};
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};
use crate::domain::status::Status;
use crate::domain::trace::TraceContext;
use crate::domain::transaction::{Kind, Source};

/// Saturates at `i64::MAX` microseconds.
pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

/// Saturates at `i64::MAX`.
pub(super) fn to_bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One value of each row, to bind as an array.
pub(super) fn column<'a, T: 'a, V>(rows: impl IntoIterator<Item = &'a T>, value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.into_iter().map(value).collect()
}

/// The column texts of enum values, to bind as an array.
pub(super) fn names<T: Copy>(values: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    values.iter().map(|value| name(*value)).collect()
}

/// Reads an enum value from the text in `column`; `column` is for the error message.
pub(super) fn read_name<T>(column: &'static str, name: String, from_name: fn(&str) -> Option<T>) -> Result<T, DbError> {
    from_name(&name).ok_or_else(|| DbError::impossible(column, name))
}

/// Conversions for `try_from` and `#[sqlx(try_from = "String")]`.
macro_rules! try_from_column {
    ($($type:ty => $column:literal),+ $(,)?) => {
        $(impl TryFrom<String> for $type {
            type Error = DbError;

            fn try_from(name: String) -> Result<Self, DbError> {
                read_name($column, name, Self::from_name)
            }
        })+
    };
}

try_from_column! {
    Source => "transactions.source",
    Kind => "transactions.kind",
    Status => "transactions.status",
    JobState => "jobs.state",
    Trigger => "jobs.trigger",
    AttemptOutcome => "job_attempts.outcome",
    MatchStatus => "match_status",
    DiscrepancyType => "discrepancy type",
    DiscrepancyState => "discrepancies.state",
    OwnerKind => "payshack_balances.owner_kind",
    BalanceKind => "payshack_balances.balance_kind",
}

/// Escapes the wildcards of `LIKE`.
pub(super) fn escape_like(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

/// A stored `traceparent`. Nothing fails because of a trace: one that a later release has written differently is none.
pub(in crate::db) fn stored_trace(traceparent: Option<&str>) -> Option<TraceContext> {
    traceparent?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_matches_literally() {
        for (text, expected) in [("abc", "abc"), ("50%", r"50\%"), ("a_b", r"a\_b"), (r"c:\d", r"c:\\d")] {
            assert_eq!(escape_like(text), expected);
        }
    }
}
