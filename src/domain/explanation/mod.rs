//! Why a payment is counted as it is, and why it has no counterpart.
//!
//! The rules are those of [`super::reconciliation::rules`], applied to the rows as they are now: an explanation says what a run
//! would find, and why. Operations gather the facts; everything here is decided from them alone, so that every reason can be
//! tested without a database. Rejected: keeping the reasons with the results of runs, which would be outdated with the next sync.

pub mod quarantine_cause;
pub mod reason;
pub mod reference;
pub mod similar;
pub mod versions;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use self::quarantine_cause::QuarantineCause;
use self::reason::Reason;
use self::similar::KeyDifference;
use super::day::day_of;
use super::reconciliation::rules::{Group, Row, amounts_agree, groups, may_be_late, statuses_agree, tolerance};
use super::reconciliation::{Coverage, Parameters};
use super::transaction::{Kind, Source};

/// The settings that explanations depend on.
#[derive(Debug, Clone, Copy)]
pub struct ExplanationRules<'a> {
    pub parameters: &'a Parameters,
    /// The zone of reconciled days.
    pub zone: Tz,
    pub now: DateTime<Utc>,
}

/// A payment of the other source whose key is nearly the same.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarRow {
    pub row: Row,
    pub difference: KeyDifference,
}

/// A record in quarantine that contains the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantinedRecord {
    pub id: Uuid,
    pub cause: QuarantineCause,
}

/// What is known about a counterpart that was not found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AbsenceFacts {
    /// Of the other source.
    pub coverage: Coverage,
    pub quarantined: Vec<QuarantinedRecord>,
    /// The most probable first.
    pub similar: Vec<SimilarRow>,
    /// Whether payments of some projects are hidden from the caller.
    pub is_limited: bool,
}

/// How a payment relates to the other rows of its key.
#[derive(Debug, Clone, PartialEq)]
pub enum Place<'rows> {
    /// Reconciliation does not compare it.
    NotCompared(Reason),
    /// Another row of the same source represents the payment.
    Duplicate {
        of: &'rows Row,
    },
    Pair {
        vima: &'rows Row,
        payshack: &'rows Row,
    },
    Alone,
}

/// The place of `payment` among `rows`, which are all rows of its key including itself.
#[must_use]
pub fn place<'rows>(payment: &Row, kind: Kind, rows: &'rows [Row], parameters: &Parameters) -> Place<'rows> {
    if kind != Kind::Payin {
        return Place::NotCompared(Reason::Payout);
    }
    if !parameters.projects.contains(payment.project.as_deref()) {
        return Place::NotCompared(Reason::ProjectNotReconciled { project: payment.project.clone() });
    }
    if payment.key.is_none() {
        return Place::NotCompared(Reason::NoKey { source: payment.source });
    }
    let Some(group) = group_of(payment, rows, parameters) else { return Place::Alone };
    let kept_on_side = match payment.source {
        Source::Vima => group.vima,
        Source::Payshack => group.payshack,
    };
    match (group.vima, group.payshack, kept_on_side) {
        (_, _, Some(kept)) if kept.id != payment.id => Place::Duplicate { of: kept },
        (Some(vima), Some(payshack), _) => Place::Pair { vima, payshack },
        _ => Place::Alone,
    }
}

/// Why a payment is not counted as one of its own: `of` represents it.
#[must_use]
pub fn explain_duplicate(of: &Row) -> Reason {
    Reason::Duplicate { of: of.id, source: of.source, source_id: of.source_id.clone() }
}

/// The compared rows of the same payment.
fn group_of<'rows>(payment: &Row, rows: &'rows [Row], parameters: &Parameters) -> Option<Group<'rows>> {
    let compared = rows.iter().filter(|row| parameters.projects.contains(row.project.as_deref())).collect();
    groups(compared, parameters).into_iter().find(|group| {
        let kept = [group.vima, group.payshack].into_iter().flatten();
        kept.chain(group.duplicates.iter().copied()).any(|row| row.id == payment.id)
    })
}

/// What a reconciliation would find about the two rows of a payment, the most important first.
#[must_use]
pub fn explain_pair(vima: &Row, payshack: &Row, rules: &ExplanationRules<'_>) -> Vec<Reason> {
    let mut reasons = compare(vima, payshack, rules);
    if reasons.is_empty() {
        reasons.push(Reason::Matched);
    }
    let [vima_day, payshack_day] = [vima, payshack].map(|row| day_of(row.created_at, rules.zone));
    if vima_day != payshack_day {
        reasons.push(Reason::OtherDay { vima: vima_day, payshack: payshack_day });
    }
    reasons
}

fn compare(vima: &Row, payshack: &Row, rules: &ExplanationRules<'_>) -> Vec<Reason> {
    let ExplanationRules { parameters, now, .. } = *rules;
    if may_be_late(vima, payshack, now, parameters) {
        let until = vima.changed_at().max(payshack.changed_at()) + parameters.grace();
        return vec![Reason::StatusMayBeLate { vima: vima.status, payshack: payshack.status, until }];
    }
    let mut reasons = vec![];
    if vima.currency != payshack.currency {
        let (vima, payshack) = (vima.currency.clone(), payshack.currency.clone());
        reasons.push(Reason::CurrencyDiffers { vima, payshack });
    } else if !amounts_agree(vima, payshack, parameters) {
        reasons.push(Reason::AmountDiffers {
            vima: vima.compared_amount(),
            payshack: payshack.compared_amount(),
            currency: vima.currency.clone(),
            tolerance: tolerance(vima.amount, parameters),
        });
    }
    if !statuses_agree(vima.status, payshack.status) {
        reasons.push(Reason::StatusDiffers { vima: vima.status, payshack: payshack.status });
    }
    reasons
}

/// Why `payment` has no counterpart: every reason that applies, the most definite first. `rows` are all rows of its key.
#[must_use]
pub fn explain_absence(payment: &Row, rows: &[Row], facts: &AbsenceFacts, parameters: &Parameters) -> Vec<Reason> {
    let absent = payment.source.other();
    let mut reasons: Vec<Reason> = facts
        .quarantined
        .iter()
        .map(|record| Reason::Quarantined { source: absent, id: record.id, cause: record.cause })
        .collect();
    reasons.extend(elsewhere(payment, rows, parameters));
    reasons.extend(facts.similar.iter().filter(|similar| is_probable(payment, &similar.row, parameters)).map(
        |similar| {
            let key = similar.row.key.clone().unwrap_or_default();
            Reason::KeyDiffers { id: similar.row.id, source: absent, key, difference: similar.difference }
        },
    ));
    reasons.push(unread(payment, absent, facts, parameters));
    reasons
}

/// Rows of the other source with the same key that were not paired with the payment.
fn elsewhere(payment: &Row, rows: &[Row], parameters: &Parameters) -> Vec<Reason> {
    let of_other_source = rows.iter().filter(|row| row.source != payment.source);
    let reasons = of_other_source.filter_map(|row| {
        let is_near = (row.created_at - payment.created_at).abs() <= parameters.window();
        if is_near && !parameters.projects.contains(row.project.as_deref()) {
            Some(Reason::OtherProject { id: row.id, source: row.source, project: row.project.clone() })
        } else if !is_near && is_unpaired(row, rows, parameters) {
            let window_hours = parameters.window_hours;
            Some(Reason::OutsideWindow { id: row.id, source: row.source, created_at: row.created_at, window_hours })
        } else {
            None
        }
    });
    reasons.collect()
}

fn is_unpaired(row: &Row, rows: &[Row], parameters: &Parameters) -> bool {
    !matches!(place(row, Kind::Payin, rows, parameters), Place::Pair { .. })
}

/// A payment whose key is nearly the same is the counterpart only if nothing else contradicts it.
fn is_probable(payment: &Row, other: &Row, parameters: &Parameters) -> bool {
    let (vima, payshack) = match payment.source {
        Source::Vima => (payment, other),
        Source::Payshack => (other, payment),
    };
    amounts_agree(vima, payshack, parameters)
}

/// Whether the other source has been read so far that it would be stored if it existed.
fn unread(payment: &Row, absent: Source, facts: &AbsenceFacts, parameters: &Parameters) -> Reason {
    let Coverage { covered_from, watermark } = facts.coverage;
    let needed = payment.created_at + parameters.settle();
    if watermark.is_none_or(|watermark| watermark < needed) {
        Reason::NotSyncedThatFar { source: absent, watermark, needed }
    } else if covered_from.is_none_or(|covered_from| covered_from > payment.created_at) {
        Reason::NotSyncedThatFarBack { source: absent, covered_from }
    } else {
        Reason::Missing { source: absent, watermark, is_limited: facts.is_limited }
    }
}

#[cfg(test)]
mod tests;
