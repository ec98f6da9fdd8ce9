//! Executes a request once, however often it is sent with the same `Idempotency-Key`.
//!
//! The work and its response commit in one transaction: a request that is repeated after a crash, or sent twice at the same
//! time, finds either nothing done or the stored response.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::db::DbError;
use crate::db::access::idempotent_requests;
use crate::db::access::idempotent_requests::{Claimed, IdempotentRequest};

#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    #[error("this Idempotency-Key was used for a request with another body")]
    OtherBody,
    #[error(transparent)]
    Db(#[from] DbError),
}

pub(super) enum IdempotentStart<'request, A> {
    /// The request was executed before and had this response.
    Answered(A),
    New(IdempotentWork<'request>),
}

/// A request that is being executed.
pub(super) struct IdempotentWork<'request> {
    transaction: Transaction<'static, Postgres>,
    request: Option<&'request IdempotentRequest>,
}

/// Starts a request. Without a key it is always new.
pub(super) async fn start_idempotent<'request, A: DeserializeOwned>(
    pool: &PgPool,
    request: Option<&'request IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<IdempotentStart<'request, A>, IdempotencyError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    if let Some(request) = request {
        match idempotent_requests::claim(&mut transaction, request, now).await? {
            Claimed::New => {}
            Claimed::OtherBody => return Err(IdempotencyError::OtherBody),
            Claimed::Answered(response) => {
                let response = serde_json::from_value(response)
                    .map_err(|error| DbError::impossible("idempotent_requests.answer", error.to_string()))?;
                return Ok(IdempotentStart::Answered(response));
            }
        }
    }
    Ok(IdempotentStart::New(IdempotentWork { transaction, request }))
}

impl IdempotentWork<'_> {
    /// The work must be done on this connection. It is rolled back unless [`IdempotentWork::commit`] is called.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Commits the work together with its response, which repetitions of the request receive.
    pub(super) async fn commit<A: Serialize>(mut self, response: &A) -> Result<(), DbError> {
        if let Some(request) = self.request {
            idempotent_requests::set_response(&mut self.transaction, request, &serde_json::json!(response)).await?;
        }
        Ok(self.transaction.commit().await?)
    }
}
