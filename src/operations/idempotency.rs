//! Carries a request out once, however often it is sent with the same `Idempotency-Key`.
//!
//! The work and its answer commit together: a request that is sent again after a crash, or twice at once, finds either
//! nothing done or the very answer that was given. Whoever does the work does it in the transaction that is handed out
//! here.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::db::DbError;
use crate::db::access::idempotent_requests;
use crate::db::access::idempotent_requests::{Claimed, IdempotentRequest};

/// Why a request was not carried out, or not answered from before.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for a request with another body")]
    OtherBody,
    /// The database cannot take it: nothing was done.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Whether there is anything to do.
pub(super) enum Begun<'request, A> {
    /// It was done before, and this was the answer.
    Answered(A),
    /// It is to be done now.
    New(Once<'request>),
}

/// A request that is being carried out.
pub(super) struct Once<'request> {
    transaction: Transaction<'static, Postgres>,
    request: Option<&'request IdempotentRequest>,
}

/// Begins to carry out a request; one without a key is always new.
pub(super) async fn begin_once<'request, A: DeserializeOwned>(
    pool: &PgPool,
    request: Option<&'request IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<Begun<'request, A>, OnceError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    if let Some(request) = request {
        match idempotent_requests::claim(&mut transaction, request, now).await? {
            Claimed::New => {}
            Claimed::OtherBody => return Err(OnceError::OtherBody),
            Claimed::Answered(answer) => {
                let read = serde_json::from_value(answer);
                let impossible =
                    |error: serde_json::Error| DbError::impossible("idempotent_requests.answer", error.to_string());
                return Ok(Begun::Answered(read.map_err(impossible)?));
            }
        }
    }
    Ok(Begun::New(Once { transaction, request }))
}

impl Once<'_> {
    /// Where the work is done. Dropped without a commit, nothing is.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Commits the work, and the answer that whoever sends the request again is given.
    pub(super) async fn commit<A: Serialize>(mut self, answer: &A) -> Result<(), DbError> {
        if let Some(request) = self.request {
            idempotent_requests::set_response(&mut self.transaction, request, &serde_json::json!(answer)).await?;
        }
        Ok(self.transaction.commit().await?)
    }
}
