//! Begins the first read of Vima: notes where changes are to be followed from, and the day that history begins at.
//!
//! Noted before the history is walked, so that what changes meanwhile is found by following from here. All of it in one
//! transaction, so that a crash leaves either a first read that has not begun or one that can be gone on with.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use sqlx::PgPool;

use super::ingest_page::Ticket;
use crate::db::{DbError, claims, sync_streams};
use crate::domain::sync::Stream;
use crate::domain::version::SequenceId;

/// The newest ids of the provider when the first read begins; zero where it has none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Of its creations.
    pub creation: SequenceId,
    /// Of its changes.
    pub update: SequenceId,
}

/// Records where the first read begins.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now; [`DbError`] where the database refuses.
pub async fn begin_history(
    pool: &PgPool,
    ticket: &Ticket,
    newest: Newest,
    first_day: NaiveDate,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    sync_streams::advance_cursor(&mut transaction, Stream::VimaCreations, newest.creation, now).await?;
    sync_streams::advance_cursor(&mut transaction, Stream::VimaUpdates, newest.update, now).await?;
    sync_streams::set_day(&mut transaction, Stream::VimaHistory, Some(first_day), None).await?;
    let covered_from = first_day.and_time(NaiveTime::MIN).and_utc();
    sync_streams::set_coverage(&mut transaction, Stream::VimaHistory, covered_from).await?;
    claims::hold_claim(&mut transaction, &ticket.claim, &serde_json::json!({"progress": 0})).await?;
    transaction.commit().await?;
    Ok(())
}
