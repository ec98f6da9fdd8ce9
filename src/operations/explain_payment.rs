//! Explains a stored payment: its versions, the day it counts on, and its counterpart or why there is none.
//!
//! Facts about an absent counterpart are read only if there is none, so that most explanations take a few look-ups by key.

use std::cmp::Reverse;

use chrono::NaiveDate;
use chrono_tz::Tz;
use sqlx::PgPool;
use uuid::Uuid;

use super::find_counterpart::{LastFinding, load_evidence, load_last_finding};
use crate::db::DbError;
use crate::db::page::PageWindow;
use crate::db::snapshot::Snapshot;
use crate::db::sync::quarantine_search::SearchedPart;
use crate::db::sync::{history, quarantine_search};
use crate::db::transactions::search::{
    FoundTransaction, Search, SortBy, SortOrder, TransactionFilter, TransactionWindow, has_trigrams, list,
};
use crate::db::transactions::{detail, similar_keys, versions};
use crate::domain::access::ProjectScope;
use crate::domain::day::day_of;
use crate::domain::explanation::quarantine_cause::QuarantineCause;
use crate::domain::explanation::reason::Reason;
use crate::domain::explanation::similar::{KeyDifference, has_case, spellings};
use crate::domain::explanation::versions::PaymentVersion;
use crate::domain::explanation::{
    AbsenceFacts, ExplanationRules, Place, QuarantinedRecord, SimilarRow, explain_absence, explain_duplicate,
    explain_pair, place,
};
use crate::domain::metrics::query::MetricFilter;
use crate::domain::reconciliation::Parameters;
use crate::domain::reconciliation::last_finding::{Evidence, Finding};
use crate::domain::reconciliation::rules::{Row, amounts_agree};
use crate::domain::transaction::{Kind, Source};

/// A shorter text occurs in too many ids to be searched for. In bytes.
const MIN_TEXT: usize = 6;
/// How many payments that contain a text are compared with it.
const COMPARED: i64 = 50;

#[derive(Debug, Clone, PartialEq)]
pub struct PaymentExplanation {
    pub transaction: FoundTransaction,
    /// Oldest first.
    pub versions: Vec<PaymentVersion>,
    /// The day of the metrics, in their default zone.
    pub report_day: NaiveDate,
    /// `None` if it is not reconciled.
    pub reconciliation_day: Option<NaiveDate>,
    pub counterpart: Option<FoundTransaction>,
    /// The most important first; never empty.
    pub reasons: Vec<Reason>,
    /// Payments of the other source with nearly the same key, the most probable first.
    pub similar: Vec<SimilarTransaction>,
    /// `None` if no run has included the payment.
    pub last_finding: Option<LastFinding>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SimilarTransaction {
    pub transaction: FoundTransaction,
    pub difference: KeyDifference,
}

/// Explains a payment as far as `scope` allows: payments of other projects do not exist for the caller. `None` if it is not stored
/// or not visible.
pub async fn explain_payment(
    pool: &PgPool,
    id: Uuid,
    scope: &ProjectScope,
    rules: &ExplanationRules<'_>,
    report_zone: Tz,
) -> Result<Option<PaymentExplanation>, DbError> {
    let found = detail::find(pool, id).await?.filter(|found| scope.covers(found.project.as_deref()));
    let Some(transaction) = found else { return Ok(None) };
    let mut snapshot = Snapshot::open(pool).await?;
    let versions = versions::list(snapshot.connection()?, id).await?;
    let mut evidence = load_evidence(snapshot.connection()?, &transaction).await?;
    evidence.rows.retain(|stored| scope.covers(stored.row.project.as_deref()));
    let last_finding = match visible_finding(&evidence, id, scope) {
        Some(finding) => Some(load_last_finding(snapshot.connection()?, id, finding).await?),
        None => None,
    };
    // Facts about an absent counterpart need no snapshot: a search by another connection must not wait for this one.
    snapshot.close().await?;
    let rows: Vec<Row> = evidence.rows.into_iter().map(|stored| stored.row).collect();
    let payment = row_of(&transaction);
    let placed = place(&payment, transaction.kind, &rows, rules.parameters);
    let (reasons, similar) = match &placed {
        Place::NotCompared(reason) => (vec![reason.clone()], vec![]),
        Place::Duplicate { of } => (vec![explain_duplicate(of)], vec![]),
        Place::Pair { vima, payshack } => (explain_pair(vima, payshack, rules), vec![]),
        Place::Alone => {
            let (facts, similar) = load_absence(pool, &payment, scope, rules.parameters).await?;
            (explain_absence(&payment, &rows, &facts, rules.parameters), similar)
        }
    };
    let counterpart = match counterpart_of(&placed, id) {
        Some(id) => detail::find(pool, id).await?,
        None => None,
    };
    let report_day = day_of(transaction.created_at, report_zone);
    let reconciliation_day = reconciliation_day(&placed, &payment, rules.zone);
    Ok(Some(PaymentExplanation {
        transaction,
        versions,
        report_day,
        reconciliation_day,
        counterpart,
        reasons,
        similar,
        last_finding,
    }))
}

/// The last finding about the payment. One that compares it with a hidden payment is hidden too.
fn visible_finding(evidence: &Evidence, id: Uuid, scope: &ProjectScope) -> Option<Finding> {
    let is_visible = |other: Uuid| !scope.is_limited() || evidence.rows.iter().any(|stored| stored.row.id == other);
    evidence.last_finding(id).filter(|finding| finding.counterpart_of(id).is_none_or(is_visible))
}

fn counterpart_of(placed: &Place<'_>, id: Uuid) -> Option<Uuid> {
    match placed {
        Place::Pair { vima, payshack } => [vima.id, payshack.id].into_iter().find(|other| *other != id),
        Place::NotCompared(_) | Place::Duplicate { .. } | Place::Alone => None,
    }
}

/// A pair belongs to the day of its Vima row.
fn reconciliation_day(placed: &Place<'_>, payment: &Row, zone: Tz) -> Option<NaiveDate> {
    match placed {
        Place::NotCompared(Reason::NoKey { .. }) | Place::Duplicate { .. } | Place::Alone => {
            Some(day_of(payment.created_at, zone))
        }
        Place::Pair { vima, .. } => Some(day_of(vima.created_at, zone)),
        Place::NotCompared(_) => None,
    }
}

async fn load_absence(
    pool: &PgPool,
    payment: &Row,
    scope: &ProjectScope,
    parameters: &Parameters,
) -> Result<(AbsenceFacts, Vec<SimilarTransaction>), DbError> {
    let Some(key) = payment.key.as_deref() else { return Ok((AbsenceFacts::default(), vec![])) };
    let absent = payment.source.other();
    let similar = list_similar(pool, payment, key, scope, parameters).await?;
    let mut connection = pool.acquire().await?;
    let coverage = history::find_coverage(&mut connection, absent).await?;
    // Its records have no project.
    let quarantined = match scope {
        ProjectScope::All => {
            quarantine_search::list_mentioning(&mut connection, &[absent], key, SearchedPart::Everything).await?
        }
        ProjectScope::Only(_) => vec![],
    };
    let quarantined = quarantined
        .into_iter()
        .filter(|entry| entry.kind == Kind::Payin)
        .map(|entry| QuarantinedRecord { id: entry.id, cause: QuarantineCause::from_sentence(&entry.reason) })
        .collect();
    let similar_rows = similar
        .iter()
        .map(|similar| SimilarRow { row: row_of(&similar.transaction), difference: similar.difference })
        .collect();
    let is_limited = scope.is_limited();
    Ok((AbsenceFacts { coverage, quarantined, similar: similar_rows, is_limited }, similar))
}

/// The payments of the other source within the window whose key is similar: those with the same amount first, then the nearest.
async fn list_similar(
    pool: &PgPool,
    payment: &Row,
    key: &str,
    scope: &ProjectScope,
    parameters: &Parameters,
) -> Result<Vec<SimilarTransaction>, DbError> {
    let absent = payment.source.other();
    let (from, until) = (payment.created_at - parameters.window(), payment.created_at + parameters.window());
    let mut keys = spellings(key);
    let filter = TransactionFilter {
        dimensions: MetricFilter { sources: vec![absent], kinds: vec![Kind::Payin], ..MetricFilter::default() },
        from: Some(from),
        until: Some(until),
        ..TransactionFilter::default()
    };
    let in_other_case = if has_case(key) { list_containing(pool, key, filter, scope).await? } else { vec![] };
    keys.extend(in_other_case.iter().filter_map(|found| found.key()).map(str::to_owned));
    let keys: Vec<String> = keys.into_iter().collect();
    let found = similar_keys::list_unpaired(&mut *pool.acquire().await?, absent, &keys, (from, until), scope).await?;
    let mut similar = with_differences(key, found);
    similar.sort_by_cached_key(|similar| {
        let other = row_of(&similar.transaction);
        let (vima, payshack) = if absent == Source::Vima { (&other, payment) } else { (payment, &other) };
        (Reverse(amounts_agree(vima, payshack, parameters)), (other.created_at - payment.created_at).abs())
    });
    Ok(similar)
}

/// Those whose key differs slightly from `key`.
pub(super) fn with_differences(key: &str, found: Vec<FoundTransaction>) -> Vec<SimilarTransaction> {
    let similar = found.into_iter().filter_map(|transaction| {
        let difference = KeyDifference::between(key, transaction.key()?)?;
        Some(SimilarTransaction { transaction, difference })
    });
    similar.collect()
}

/// The newest payments of which one of the five ids contains `text`, in any case. Empty if the text is too short to be searched for.
pub(super) async fn list_containing(
    pool: &PgPool,
    text: &str,
    mut filter: TransactionFilter,
    scope: &ProjectScope,
) -> Result<Vec<FoundTransaction>, DbError> {
    if text.len() < MIN_TEXT || text.contains(char::is_control) || !has_trigrams(text) {
        return Ok(vec![]);
    }
    filter.dimensions.projects = scope.projects().unwrap_or_default().to_vec();
    filter.search = Some(Search { text: text.to_owned(), personal: false });
    let page = PageWindow { after: None, offset: 0, limit: COMPARED };
    let window = TransactionWindow { sort_by: SortBy::CreatedAt, order: SortOrder::Desc, page };
    list(pool, &filter, &window).await
}

fn row_of(found: &FoundTransaction) -> Row {
    Row {
        id: found.id,
        source: found.source,
        source_id: found.source_id.clone(),
        key: found.key().map(str::to_owned),
        project: found.project.clone(),
        status: found.status,
        amount: found.amount,
        paid_amount: found.paid_amount,
        currency: found.currency.clone(),
        created_at: found.created_at,
        updated_at: found.updated_at,
    }
}
