//! The rules: which rows belong to the same payment, and whether they agree.
//!
//! Not optimized: this is the reference for the statement that judges a whole day, and explains single payments.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Coverage, DiscrepancyType, MatchStatus, Parameters};
use crate::domain::status::Status;
use crate::domain::transaction::Source;

/// The fields of a stored payment that reconciliation depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Our id.
    pub id: Uuid,
    pub source: Source,
    /// The provider's id.
    pub source_id: String,
    /// The id that both sides share: trimmed, not empty, case-sensitive.
    pub key: Option<String>,
    pub project: Option<String>,
    pub status: Status,
    /// The requested amount.
    pub amount: Decimal,
    /// The amount really paid, if the provider reports it.
    pub paid_amount: Option<Decimal>,
    pub currency: String,
    /// By the provider's clock.
    pub created_at: DateTime<Utc>,
    /// By the provider's clock.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Row {
    /// The last change, or the creation if there was none.
    #[must_use]
    pub fn changed_at(&self) -> DateTime<Utc> {
        self.updated_at.unwrap_or(self.created_at)
    }

    /// The amount to compare: the paid amount of a successful payment at `PayShack`, otherwise the requested amount.
    #[must_use]
    pub fn compared_amount(&self) -> Decimal {
        let paid = self.paid_amount.filter(|_| self.source == Source::Payshack && self.status == Status::Success);
        paid.unwrap_or(self.amount)
    }

    /// Orders numeric ids by number, before all other ids, which are ordered as text.
    #[must_use]
    pub fn by_id(&self, other: &Self) -> Ordering {
        compare_ids(&self.source_id, &other.source_id)
    }
}

fn compare_ids(left: &str, right: &str) -> Ordering {
    let number = |id: &str| {
        let digits = id.bytes().all(|byte| byte.is_ascii_digit()) && !id.is_empty();
        digits.then(|| id.trim_start_matches('0').to_owned())
    };
    let by_number = match (number(left), number(right)) {
        (Some(left), Some(right)) => left.len().cmp(&right.len()).then_with(|| left.cmp(&right)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    by_number.then_with(|| left.cmp(right))
}

/// The largest difference of two amounts that count as equal.
#[must_use]
pub fn tolerance(vima_amount: Decimal, parameters: &Parameters) -> Decimal {
    let share = parameters.amount_tolerance_percent / Decimal::ONE_HUNDRED;
    vima_amount.abs().saturating_mul(share).max(parameters.amount_tolerance)
}

/// Amounts in different currencies never agree.
#[must_use]
pub fn amounts_agree(vima: &Row, payshack: &Row, parameters: &Parameters) -> bool {
    let difference = vima.compared_amount().saturating_sub(payshack.compared_amount()).abs();
    vima.currency == payshack.currency && difference <= tolerance(vima.amount, parameters)
}

/// Statuses agree if they are equal, or if both are open.
#[must_use]
pub fn statuses_agree(vima: Status, payshack: Status) -> bool {
    vima == payshack || (is_open(vima) && is_open(payshack))
}

fn is_open(status: Status) -> bool {
    matches!(status, Status::Pending | Status::Processing)
}

/// Whether one side is final and the other, still open, is within the grace period.
#[must_use]
pub fn may_be_late(vima: &Row, payshack: &Row, as_of: DateTime<Utc>, parameters: &Parameters) -> bool {
    let one_is_open =
        (is_open(vima.status) && payshack.status.is_final()) || (vima.status.is_final() && is_open(payshack.status));
    one_is_open && as_of - vima.changed_at().max(payshack.changed_at()) < parameters.grace()
}

/// The result for a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub status: MatchStatus,
    /// What the sides disagree about. The payment is counted under the first type.
    pub types: Vec<DiscrepancyType>,
}

impl Verdict {
    fn new(status: MatchStatus, types: &[DiscrepancyType]) -> Self {
        Self { status, types: types.to_vec() }
    }
}

/// Judges the two rows of a payment.
#[must_use]
pub fn judge_pair(vima: &Row, payshack: &Row, as_of: DateTime<Utc>, parameters: &Parameters) -> Verdict {
    if may_be_late(vima, payshack, as_of, parameters) {
        return Verdict::new(MatchStatus::Pending, &[]);
    }
    let amount = (!amounts_agree(vima, payshack, parameters)).then_some(DiscrepancyType::Amount);
    let status = (!statuses_agree(vima.status, payshack.status)).then_some(DiscrepancyType::Status);
    let types: Vec<DiscrepancyType> = amount.into_iter().chain(status).collect();
    if types.is_empty() {
        Verdict::new(MatchStatus::Matched, &[])
    } else {
        Verdict::new(MatchStatus::Discrepancy, &types)
    }
}

/// Judges a row without a counterpart, given the coverage of the other side.
#[must_use]
pub fn judge_alone(row: &Row, absent: Coverage, parameters: &Parameters) -> Verdict {
    if absent.settles(row.created_at, parameters.settle()) {
        Verdict::new(MatchStatus::known_only_to(row.source), &[DiscrepancyType::Missing])
    } else {
        Verdict::new(MatchStatus::Pending, &[])
    }
}

/// The rows of one payment.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'rows> {
    pub vima: Option<&'rows Row>,
    pub payshack: Option<&'rows Row>,
    /// All other rows.
    pub duplicates: Vec<&'rows Row>,
}

/// Groups the rows of one key by payment: a gap longer than the window starts another payment.
#[must_use]
pub fn groups<'rows>(mut rows: Vec<&'rows Row>, parameters: &Parameters) -> Vec<Group<'rows>> {
    rows.sort_by_key(|row| row.created_at);
    let is_near = |left: &&Row, right: &&Row| right.created_at - left.created_at <= parameters.window();
    rows.chunk_by(is_near).map(|rows| group(rows, parameters)).collect()
}

fn group<'rows>(rows: &[&'rows Row], parameters: &Parameters) -> Group<'rows> {
    let of = |source| rows.iter().copied().filter(move |row| row.source == source);
    let (vima, payshack) = match best_pair(of(Source::Vima), &of(Source::Payshack), parameters) {
        Some((vima, payshack)) => (Some(vima), Some(payshack)),
        None => (best_alone(of(Source::Vima)), best_alone(of(Source::Payshack))),
    };
    let is_chosen = |row: &&&Row| [vima, payshack].into_iter().flatten().any(|chosen| chosen.id == row.id);
    Group { vima, payshack, duplicates: rows.iter().filter(|row| !is_chosen(row)).copied().collect() }
}

/// Prefers two successes, then equal amounts, then the nearest times, then the smallest ids.
fn best_pair<'rows>(
    vima: impl Iterator<Item = &'rows Row>,
    payshack: &(impl Iterator<Item = &'rows Row> + Clone),
    parameters: &Parameters,
) -> Option<(&'rows Row, &'rows Row)> {
    let pairs = vima.flat_map(|left| payshack.clone().map(move |right| (left, right)));
    let distance = |(left, right): &(&Row, &Row)| (left.created_at - right.created_at).abs();
    let rank = |pair: &(&Row, &Row)| {
        let both_succeeded = pair.0.status == Status::Success && pair.1.status == Status::Success;
        (!both_succeeded, !amounts_agree(pair.0, pair.1, parameters), distance(pair))
    };
    pairs.filter(|pair| distance(pair) <= parameters.window()).min_by(|one, other| {
        let by_ids = || one.0.by_id(other.0).then_with(|| one.1.by_id(other.1));
        rank(one).cmp(&rank(other)).then_with(by_ids)
    })
}

/// Prefers a success, then the smallest id.
fn best_alone<'rows>(rows: impl Iterator<Item = &'rows Row>) -> Option<&'rows Row> {
    rows.min_by(|one, other| {
        let failed = |row: &Row| row.status != Status::Success;
        failed(one).cmp(&failed(other)).then_with(|| one.by_id(other))
    })
}
