//! Explains what became of a payment of which only a reference is known: an id of any provider.
//!
//! Every id is looked up in its index first, as it was written, in lower and in upper case. Only a reference with letters that is not
//! found then may have another case, for which the index of the search is used, which takes longer the more payments are stored;
//! and only if no payment has exactly the reference, similar keys are looked up.

use std::collections::BTreeSet;

use sqlx::{PgConnection, PgPool};

use super::explain_payment::{SimilarTransaction, list_containing, with_differences};
use super::look_up_transactions::has_id;
use crate::db::DbError;
use crate::db::sync::quarantine::QuarantineEntry;
use crate::db::sync::quarantine_search::SearchedPart;
use crate::db::sync::{progress, quarantine_search};
use crate::db::transactions::lookup::list_by_ids;
use crate::db::transactions::search::{FoundTransaction, TransactionFilter};
use crate::db::transactions::similar_keys;
use crate::domain::access::{Principal, ProjectScope};
use crate::domain::explanation::reference::{ReferenceConclusion, ReferenceFacts, SourceProgress, conclude};
use crate::domain::explanation::similar::{KeyDifference, spellings};
use crate::domain::masking::PiiAccess;
use crate::domain::transaction::Source;

/// An id that more payments share identifies none.
const MAX_PAYMENTS: i64 = 50;

#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceExplanation {
    pub conclusion: ReferenceConclusion,
    /// The stored payments that have the reference, newest first.
    pub payments: Vec<FoundTransaction>,
    /// The sources that have the reference, or a payment with the key of one that has it.
    pub stored_by: Vec<Source>,
    pub quarantined: Vec<QuarantineEntry>,
    pub progress: Vec<SourceProgress>,
    pub similar: Vec<SimilarTransaction>,
}

/// Explains a reference as far as `principal` may know: payments of other projects, and the quarantine, do not exist for a caller that
/// is limited to some projects.
pub async fn explain_reference(
    pool: &PgPool,
    reference: &str,
    principal: &Principal,
) -> Result<ReferenceExplanation, DbError> {
    let (reference, scope) = (reference.trim(), &principal.scope);
    let searched = match PiiAccess::for_role(principal.role) {
        PiiAccess::Full => SearchedPart::Everything,
        PiiAccess::Masked => SearchedPart::Identity,
    };
    let (progress, mut containing) = load_indexed(pool, reference, scope).await?;
    let is_exact = |found: &mut FoundTransaction| has_id(found, reference);
    let payments: Vec<FoundTransaction> = containing.extract_if(.., is_exact).collect();
    if payments.is_empty() && containing.is_empty() && reference.contains(|letter: char| letter.is_ascii_alphabetic()) {
        containing = list_containing(pool, reference, TransactionFilter::default(), scope).await?;
    }
    let mut connection = pool.acquire().await?;
    let stored_by = list_sources(&mut connection, &payments, scope).await?;
    let quarantined = match scope {
        ProjectScope::All if stored_by.len() < Source::ALL.len() => {
            quarantine_search::list_mentioning(&mut connection, &Source::ALL, reference, searched).await?
        }
        ProjectScope::All | ProjectScope::Only(_) => vec![],
    };
    let similar =
        if payments.is_empty() { list_similar(&mut connection, reference, containing, scope).await? } else { vec![] };
    let facts = ReferenceFacts {
        stored_by: stored_by.clone(),
        quarantined: quarantined.len(),
        similar_key: similar.first().and_then(|similar| similar_id(reference, &similar.transaction)).map(str::to_owned),
        progress,
        is_limited: scope.is_limited(),
    };
    let conclusion = conclude(&facts);
    Ok(ReferenceExplanation { conclusion, payments, stored_by, quarantined, progress: facts.progress, similar })
}

/// How far the sources have been read, and the payments that have the reference, in some cases of its letters. Uses a connection of
/// its own, so that the search does not wait for it.
async fn load_indexed(
    pool: &PgPool,
    reference: &str,
    scope: &ProjectScope,
) -> Result<(Vec<SourceProgress>, Vec<FoundTransaction>), DbError> {
    let mut transaction = pool.begin().await?;
    let progress = progress::list(&mut transaction).await?;
    let projects = scope.projects().unwrap_or_default();
    let found = list_by_ids(&mut transaction, &[reference], projects, MAX_PAYMENTS).await?;
    transaction.commit().await?;
    Ok((progress, found.into_iter().map(|(_, found)| found).collect()))
}

fn ids(found: &FoundTransaction) -> impl Iterator<Item = &str> {
    let optional = [&found.reference_id, &found.client_operation_id, &found.order_id, &found.utr];
    optional.into_iter().flatten().chain([&found.source_id]).map(String::as_str)
}

/// The id that nearly is the reference.
fn similar_id<'found>(reference: &str, found: &'found FoundTransaction) -> Option<&'found str> {
    ids(found).find(|id| KeyDifference::between(reference, id).is_some())
}

/// The sources of these payments, and those that have a payment with the same key.
async fn list_sources(
    connection: &mut PgConnection,
    payments: &[FoundTransaction],
    scope: &ProjectScope,
) -> Result<Vec<Source>, DbError> {
    let mut sources: BTreeSet<Source> = payments.iter().map(|payment| payment.source).collect();
    let keys: BTreeSet<&str> = payments.iter().filter_map(FoundTransaction::key).collect();
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    for source in Source::ALL {
        if !sources.contains(&source) && !keys.is_empty() {
            let others = similar_keys::list(connection, source, &keys, scope).await?;
            sources.extend(others.iter().map(|other| other.source));
        }
    }
    Ok(sources.into_iter().collect())
}

/// Payments whose key differs slightly, and those of `containing` of which an id differs only in case.
async fn list_similar(
    connection: &mut PgConnection,
    reference: &str,
    containing: Vec<FoundTransaction>,
    scope: &ProjectScope,
) -> Result<Vec<SimilarTransaction>, DbError> {
    let is_same = |id: &str| KeyDifference::between(reference, id) == Some(KeyDifference::Case);
    let in_other_case = containing.into_iter().filter(|found| ids(found).any(is_same));
    let mut similar: Vec<SimilarTransaction> =
        in_other_case.map(|transaction| SimilarTransaction { transaction, difference: KeyDifference::Case }).collect();
    let keys: Vec<String> = spellings(reference).into_iter().collect();
    if keys.is_empty() {
        return Ok(similar);
    }
    for source in Source::ALL {
        let found = with_differences(reference, similar_keys::list(connection, source, &keys, scope).await?);
        let is_new =
            |found: &SimilarTransaction| similar.iter().all(|known| known.transaction.id != found.transaction.id);
        let new: Vec<SimilarTransaction> = found.into_iter().filter(is_new).collect();
        similar.extend(new);
    }
    Ok(similar)
}
