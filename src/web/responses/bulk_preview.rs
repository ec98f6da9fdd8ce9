//! What every preview of a bulk action says.

use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

use crate::operations::bulk_actions::preview::Preview;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::schema::Time;

/// A preview of a bulk action.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct BulkPreview {
    /// The id of the bulk action.
    bulk_action_id: Uuid,
    /// Confirms the bulk action by `POST /bulk-actions`, with the same key. It is shown only here.
    token: String,
    /// Until when it can be confirmed.
    expires_at: Time,
    /// How many items match the filter and are in a state that allows the action.
    count: u64,
}

impl From<&Preview> for BulkPreview {
    fn from(preview: &Preview) -> Self {
        Self {
            bulk_action_id: preview.id,
            token: preview.token.expose().to_owned(),
            expires_at: Time(preview.expires_at),
            count: preview.snapshot.count,
        }
    }
}

impl Example for BulkPreview {
    fn example() -> Self {
        Self {
            bulk_action_id: EXAMPLE_ID,
            token: "xJ1v0hYkQe3oXGm2zq7bW9cT4rLs8NfUdPa6KiVyE5A".to_owned(),
            expires_at: Time(EXAMPLE_TIME),
            count: 1_250,
        }
    }
}
