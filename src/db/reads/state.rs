//! How much of what the primary has stored a server has.

use sqlx::PgConnection;

use crate::domain::transaction::Source;

/// A state of the stored payments, by numbers that only increase, in the order of commits. A replica repeats the commits of the
/// primary in their order, so a replica that has a number has everything that was committed before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredState {
    /// The version of the transactions of each source, in the order of [`Source::ALL`].
    pub versions: [i64; 2],
    /// The id of the last event.
    pub last_event: i64,
}

impl StoredState {
    /// Whether everything of `other` is stored in this state.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.last_event >= other.last_event
            && self.versions.iter().zip(other.versions).all(|(own, other)| *own >= other)
    }
}

/// What a server answers about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerState {
    /// Whether it follows another server. One that does not is a primary, whose later states are not those of ours.
    pub(super) is_replica: bool,
    /// Whether the primary keeps what its statements still read.
    pub(super) keeps_what_is_read: bool,
    pub(super) stored: StoredState,
}

pub(super) async fn read(connection: &mut PgConnection) -> Result<ServerState, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT pg_is_in_recovery() AS "is_replica!",
                  current_setting('hot_standby_feedback')::boolean AS "keeps_what_is_read!",
                  (SELECT max(id) FROM events) AS last_event,
                  (SELECT version FROM payment_versions WHERE source = $1) AS first,
                  (SELECT version FROM payment_versions WHERE source = $2) AS second"#,
        Source::ALL[0].as_str(),
        Source::ALL[1].as_str()
    )
    .fetch_one(connection)
    .await?;
    let versions = [row.first, row.second].map(Option::unwrap_or_default);
    let stored = StoredState { versions, last_event: row.last_event.unwrap_or_default() };
    Ok(ServerState { is_replica: row.is_replica, keeps_what_is_read: row.keeps_what_is_read, stored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_covers_another_if_no_number_is_smaller() {
        let state = |first, second, last_event| StoredState { versions: [first, second], last_event };
        for (own, other, expected) in [
            (state(3, 5, 9), state(3, 5, 9), true),
            (state(4, 6, 10), state(3, 5, 9), true),
            (state(2, 6, 10), state(3, 5, 9), false),
            (state(4, 4, 10), state(3, 5, 9), false),
            (state(4, 6, 8), state(3, 5, 9), false),
            (state(0, 0, 0), StoredState::default(), true),
        ] {
            assert_eq!(own.covers(&other), expected, "{own:?} {other:?}");
        }
    }
}
