//! The rules, a row at a time: which rows are about the same payment, and what is to be said of them.
//!
//! Nothing here is fast. It is what the statement over a whole day has to agree with, and what explains a single payment.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Coverage, DiscrepancyType, MatchStatus, Parameters};
use crate::domain::status::Status;
use crate::domain::transaction::Source;

/// A row of a side, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its id here.
    pub id: Uuid,
    /// Who told it.
    pub source: Source,
    /// The provider's own id.
    pub source_id: String,
    /// What both sides call the payment: as it is stored, without blanks around it and never empty. Case matters.
    pub key: Option<String>,
    /// The merchant's project.
    pub project: Option<String>,
    /// What became of it.
    pub status: Status,
    /// What was asked for.
    pub amount: Decimal,
    /// What was really paid, where the provider says so.
    pub paid_amount: Option<Decimal>,
    /// Of both amounts.
    pub currency: String,
    /// When it came to be, by the provider's clock.
    pub created_at: DateTime<Utc>,
    /// When it last changed, by the provider's clock.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Row {
    /// When it last changed; one that never did changed when it came to be.
    #[must_use]
    pub fn changed_at(&self) -> DateTime<Utc> {
        self.updated_at.unwrap_or(self.created_at)
    }

    /// The amount that the other side's is held against: what `PayShack` says was paid of a success, else what was asked
    /// for.
    #[must_use]
    pub fn compared_amount(&self) -> Decimal {
        let paid = self.paid_amount.filter(|_| self.source == Source::Payshack && self.status == Status::Success);
        paid.unwrap_or(self.amount)
    }

    /// Whose id comes first: smaller numbers, then what is no number, as text.
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

/// The largest difference at which two amounts are still equal.
#[must_use]
pub fn tolerance(vima_amount: Decimal, parameters: &Parameters) -> Decimal {
    let share = parameters.amount_tolerance_percent / Decimal::ONE_HUNDRED;
    vima_amount.abs().saturating_mul(share).max(parameters.amount_tolerance)
}

/// Whether both sides tell the same amount. Amounts of two currencies are never the same.
#[must_use]
pub fn amounts_agree(vima: &Row, payshack: &Row, parameters: &Parameters) -> bool {
    let difference = vima.compared_amount().saturating_sub(payshack.compared_amount()).abs();
    vima.currency == payshack.currency && difference <= tolerance(vima.amount, parameters)
}

/// Whether both sides tell the same end, or both that there is none yet.
#[must_use]
pub fn statuses_agree(vima: Status, payshack: Status) -> bool {
    vima == payshack || (is_open(vima) && is_open(payshack))
}

fn is_open(status: Status) -> bool {
    matches!(status, Status::Pending | Status::Processing)
}

/// Whether one side may simply not have heard yet of the end that the other tells.
#[must_use]
pub fn may_be_late(vima: &Row, payshack: &Row, as_of: DateTime<Utc>, parameters: &Parameters) -> bool {
    let one_is_open =
        (is_open(vima.status) && payshack.status.is_final()) || (vima.status.is_final() && is_open(payshack.status));
    one_is_open && as_of - vima.changed_at().max(payshack.changed_at()) < parameters.grace()
}

/// What is to be said of a payment, and in what the sides disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was found.
    pub status: MatchStatus,
    /// In what they disagree, the first the one that it is counted by.
    pub types: Vec<DiscrepancyType>,
}

impl Verdict {
    fn of(status: MatchStatus, types: &[DiscrepancyType]) -> Self {
        Self { status, types: types.to_vec() }
    }
}

/// What is to be said of two rows that are about the same payment.
#[must_use]
pub fn judge_pair(vima: &Row, payshack: &Row, as_of: DateTime<Utc>, parameters: &Parameters) -> Verdict {
    if may_be_late(vima, payshack, as_of, parameters) {
        return Verdict::of(MatchStatus::Pending, &[]);
    }
    let amount = (!amounts_agree(vima, payshack, parameters)).then_some(DiscrepancyType::Amount);
    let status = (!statuses_agree(vima.status, payshack.status)).then_some(DiscrepancyType::Status);
    let types: Vec<DiscrepancyType> = amount.into_iter().chain(status).collect();
    if types.is_empty() {
        Verdict::of(MatchStatus::Matched, &[])
    } else {
        Verdict::of(MatchStatus::Discrepancy, &types)
    }
}

/// What is to be said of a row whose partner is not here, where the absent side has been read so far.
#[must_use]
pub fn judge_alone(row: &Row, absent: Coverage, parameters: &Parameters) -> Verdict {
    if absent.settles(row.created_at, parameters.settle()) {
        Verdict::of(MatchStatus::known_only_to(row.source), &[DiscrepancyType::Missing])
    } else {
        Verdict::of(MatchStatus::Pending, &[])
    }
}

/// The rows that stand for a payment, and those that are too many.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'rows> {
    /// Vima's row.
    pub vima: Option<&'rows Row>,
    /// `PayShack`'s row.
    pub payshack: Option<&'rows Row>,
    /// The others.
    pub duplicates: Vec<&'rows Row>,
}

/// The payments that rows of one key are about: a gap longer than the window begins another.
#[must_use]
pub fn groups<'rows>(mut rows: Vec<&'rows Row>, parameters: &Parameters) -> Vec<Group<'rows>> {
    rows.sort_by_key(|row| row.created_at);
    let apart = |left: &&Row, right: &&Row| right.created_at - left.created_at <= parameters.window();
    rows.chunk_by(apart).map(|rows| group(rows, parameters)).collect()
}

fn group<'rows>(rows: &[&'rows Row], parameters: &Parameters) -> Group<'rows> {
    let of = |source| rows.iter().copied().filter(move |row| row.source == source);
    let (vima, payshack) = match best_pair(of(Source::Vima), &of(Source::Payshack), parameters) {
        Some((vima, payshack)) => (Some(vima), Some(payshack)),
        None => (best_alone(of(Source::Vima)), best_alone(of(Source::Payshack))),
    };
    let kept = |row: &&&Row| [vima, payshack].into_iter().flatten().any(|kept| kept.id == row.id);
    Group { vima, payshack, duplicates: rows.iter().filter(|row| !kept(row)).copied().collect() }
}

/// Both a success first, then equal amounts, then nearest in time, then the smallest ids.
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

/// A success first, then the smallest id.
fn best_alone<'rows>(rows: impl Iterator<Item = &'rows Row>) -> Option<&'rows Row> {
    rows.min_by(|one, other| {
        let failed = |row: &Row| row.status != Status::Success;
        failed(one).cmp(&failed(other)).then_with(|| one.by_id(other))
    })
}
