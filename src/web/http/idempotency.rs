//! Identifies a request with an `Idempotency-Key`.

use poem::Request;
use sha2::{Digest, Sha256};

use super::fails::Failure;
use super::problem::{Problem, ProblemCode};
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::domain::access::Principal;
use crate::operations::idempotency::IdempotencyError;

const MAX_KEY_LENGTH: usize = 255;

/// `None` if the request has no key. Different keys, and different paths, may use the same key.
pub(in crate::web) fn idempotent(
    principal: &Principal,
    request: &Request,
    key: Option<String>,
    body_hash: [u8; 32],
) -> Result<Option<IdempotentRequest>, Problem> {
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > MAX_KEY_LENGTH {
        return Err(Problem::field("Idempotency-Key", format!("must have 1 to {MAX_KEY_LENGTH} characters")));
    }
    let mut hasher = Sha256::new();
    for part in [principal.key_id.to_string().as_str(), request.original_uri().path().trim_end_matches('/'), &key] {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    Ok(Some(IdempotentRequest { key_hash: hasher.finalize().into(), body_hash }))
}

impl Failure for IdempotencyError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        match self {
            Self::OtherBody => Problem::new(ProblemCode::Conflict, self.to_string()),
            Self::Db(error) => error.into(),
        }
    }
}
