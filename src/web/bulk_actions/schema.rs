//! The shapes of bulk actions in requests and responses.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::bulk_actions::StoredBulkAction;
use crate::domain::bulk_action::{self, BulkActionKind, BulkActionState, SkipReason};
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::schema::{Time, named_enum};

named_enum!(BulkActionKind, "BulkActionKind", BulkActionKind::ALL, "What is done to each item.");
named_enum!(BulkActionState, "BulkActionState", BulkActionState::ALL, "How far a bulk action is.");
named_enum!(SkipReason, "SkipReason", SkipReason::ALL, "Why an item was left as it is.");

request_fields! {
    /// The confirmation of a preview.
    #[oai(example)]
    pub(super) struct BulkConfirmation {
        /// The token of the preview.
        pub(super) token: String,
    }
}

impl Example for BulkConfirmation {
    fn example() -> Self {
        Self { token: "xJ1v0hYkQe3oXGm2zq7bW9cT4rLs8NfUdPa6KiVyE5A".to_owned() }
    }
}

/// A bulk action.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct BulkAction {
    /// The id of the bulk action.
    id: Uuid,
    /// What is done to each item.
    action: BulkActionKind,
    /// The filter of the preview.
    filter: Value,
    /// What is set; null if the action has no values.
    changes: Option<Value>,
    /// `preview` until it is confirmed, `expired` if it was not; `running` while its job waits or runs; `finished` when every item was
    /// changed or skipped; `cancelled` and `failed` if its job was, which can be retried.
    state: BulkActionState,
    /// How many items the preview has counted: those that were applied, were skipped and remain.
    count: u64,
    /// How many items were changed.
    applied: u64,
    /// How many items were left as they are, see `GET /bulk-actions/{id}/skipped`.
    skipped: u64,
    /// How many items are still to be changed.
    remaining: u64,
    /// The job that carries it out, see `GET /jobs/{id}`; null until it is confirmed.
    job_id: Option<Uuid>,
    /// Why the job failed, or who cancelled it.
    error: Option<String>,
    /// The name of the key that made the preview.
    requested_by: String,
    /// When the preview was made.
    created_at: Time,
    /// Until when it can be confirmed.
    expires_at: Time,
    /// When it was confirmed.
    confirmed_at: Option<Time>,
    /// When every item was changed or skipped.
    finished_at: Option<Time>,
}

impl BulkAction {
    pub(super) fn new(action: StoredBulkAction, now: DateTime<Utc>) -> Self {
        let (counts, times) = (action.counts, action.times);
        Self {
            id: action.id,
            action: action.action.kind(),
            filter: action.filter,
            changes: action.changes,
            state: BulkActionState::new(times, action.job_state, now),
            count: counts.count,
            applied: counts.applied,
            skipped: counts.skipped,
            remaining: counts.remaining(),
            job_id: action.job_id.map(|job_id| job_id.0),
            error: action.error,
            requested_by: action.by.name,
            created_at: Time(action.created_at),
            expires_at: Time(times.expires_at),
            confirmed_at: times.confirmed_at.map(Time),
            finished_at: times.finished_at.map(Time),
        }
    }
}

impl Example for BulkAction {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            action: BulkActionKind::UpdateDiscrepancies,
            filter: json!({"discrepancy_type": ["amount"], "state": ["open"], "older_than_days": 30}),
            changes: Some(json!({"state": "acknowledged", "assignee": "otto", "note": "asked the bank"})),
            state: BulkActionState::Running,
            count: 1_250,
            applied: 990,
            skipped: 10,
            remaining: 250,
            job_id: Some(EXAMPLE_ID),
            error: None,
            requested_by: "otto".to_owned(),
            created_at: Time(EXAMPLE_TIME),
            expires_at: Time(EXAMPLE_TIME),
            confirmed_at: Some(Time(EXAMPLE_TIME)),
            finished_at: None,
        }
    }
}

/// An item that was left as it is.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct SkippedItem {
    /// The id of the job or of the discrepancy.
    id: Uuid,
    /// Why, for programs.
    reason: SkipReason,
    /// Why, for people.
    detail: String,
}

impl From<bulk_action::SkippedItem> for SkippedItem {
    fn from(item: bulk_action::SkippedItem) -> Self {
        Self { id: item.id, reason: item.reason, detail: item.detail }
    }
}

impl Example for SkippedItem {
    fn example() -> Self {
        bulk_action::SkippedItem::changed(EXAMPLE_ID).into()
    }
}
