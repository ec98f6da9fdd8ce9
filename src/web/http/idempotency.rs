//! What a request that bears an `Idempotency-Key` is known by.

use poem::Request;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::domain::access::Principal;

/// The longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

/// The request, where it bears a key: two people, or two paths, may use the same one.
pub(in crate::web) fn idempotent(
    principal: &Principal,
    request: &Request,
    key: Option<String>,
    body_hash: [u8; 32],
) -> Result<Option<IdempotentRequest>, Problem> {
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Problem::field("Idempotency-Key", format!("must have 1 to {LONGEST_KEY} characters")));
    }
    let mut hasher = Sha256::new();
    for part in [principal.name.as_str(), request.original_uri().path(), &key] {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    Ok(Some(IdempotentRequest { key_hash: hasher.finalize().into(), body_hash }))
}
