//! Stores what matches a filter now, and returns what a person must know to confirm it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::bulk_actions::snapshot::{self, Selection, Snapshot};
use crate::db::bulk_actions::{self, NewBulkAction};
use crate::domain::access::Principal;
use crate::domain::bulk_action::{BulkAction, PREVIEW_TIME};
use crate::domain::secret::Secret;

/// What a person asks for.
#[derive(Debug)]
pub struct BulkRequest {
    pub action: BulkAction,
    pub selection: Selection,
    /// The selection by the names of the API, for people.
    pub filter: Value,
}

#[derive(Debug)]
pub struct Preview {
    pub id: Uuid,
    /// It is stored as a digest.
    pub token: Secret,
    pub expires_at: DateTime<Utc>,
    pub snapshot: Snapshot,
}

pub(super) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Changes nothing but its own tables, so it is not audited.
pub async fn preview_bulk_action(
    pool: &PgPool,
    request: &BulkRequest,
    by: &Principal,
    now: DateTime<Utc>,
) -> Result<Preview, DbError> {
    let (id, expires_at) = (Uuid::now_v7(), now + PREVIEW_TIME);
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let hash = token_hash(&token);
    let BulkRequest { action, selection, filter } = request;
    let new = NewBulkAction { id, action, filter, token_hash: &hash, by, expires_at };
    let mut transaction = pool.begin().await?;
    bulk_actions::insert(&mut transaction, &new, now).await?;
    let snapshot = snapshot::store(&mut transaction, id, action, selection).await?;
    transaction.commit().await?;
    Ok(Preview { id, token: Secret::new(token), expires_at, snapshot })
}
