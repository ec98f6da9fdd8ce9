//! Actions on everything that matches a filter: a [`preview`] stores what matches, with its versions; a person confirms it
//! ([`confirm`]); a job carries it out ([`run`]), a batch per transaction, and can be stopped ([`stop`]).
//!
//! What is changed is exactly what the preview has counted: an item that has changed since, by anyone, is skipped and reported.
//! Rejected: to apply the filter again when the job runs, which would change what no one has seen; a limit of items, which people
//! work around with scripts that have no preview.

mod change_discrepancies;
mod change_jobs;
pub mod confirm;
pub mod preview;
pub mod run;
pub mod stop;

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::bulk_actions::{self, StoredBulkAction};
use crate::domain::access::Principal;
use crate::domain::bulk_action::SkippedItem;
use crate::domain::job::JobId;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum BulkActionError {
    #[error("there is no such bulk action, or it is not visible to this key")]
    NotFound,
    #[error("there is no preview with this token, or it was made with another key: make a preview, and send its token")]
    UnknownToken,
    #[error("the preview has expired: make another one, and confirm it within 15 minutes")]
    Expired,
    #[error("the bulk action has ended already: there is nothing to stop")]
    Ended,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What became of a batch.
#[derive(Debug, Default)]
struct BatchOutcome {
    applied: u64,
    skipped: Vec<SkippedItem>,
    /// Queues in which jobs are due now.
    due: Vec<(String, JobId)>,
}

/// Finds an action that was made with no more rights than `by` has.
pub async fn find_bulk_action(
    executor: impl PgExecutor<'_>,
    by: &Principal,
    id: Uuid,
) -> Result<StoredBulkAction, BulkActionError> {
    let found = bulk_actions::find(executor, id).await?;
    found.filter(|action| by.scope.includes(&action.by.scope)).ok_or(BulkActionError::NotFound)
}
