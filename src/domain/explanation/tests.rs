//! Each reason from the facts that cause it, and the agreement with the rules of reconciliation.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::reason::ReasonCode;
use super::*;
use crate::domain::reconciliation::MatchStatus;
use crate::domain::reconciliation::rules::{judge_alone, judge_pair};
use crate::domain::status::Status;

const VIMA: Uuid = Uuid::from_u128(1);
const PAYSHACK: Uuid = Uuid::from_u128(2);
const THIRD: Uuid = Uuid::from_u128(3);

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-01-{text}:00Z").parse().expect("a time")
}

fn row(id: Uuid, source: Source, created_at: &str) -> Row {
    Row {
        id,
        source,
        source_id: id.as_u128().to_string(),
        key: Some("order-1042".to_owned()),
        project: Some("91game".to_owned()),
        status: Status::Success,
        amount: Decimal::ONE_HUNDRED,
        paid_amount: None,
        currency: "INR".to_owned(),
        created_at: at(created_at),
        updated_at: None,
    }
}

/// Of a Vima payment at 10:00 on the 15th whose other rows and facts are these; the first row is the payment.
fn explained(rows: &[Row], kind: Kind, facts: &AbsenceFacts) -> Vec<Reason> {
    let parameters = Parameters::default();
    let rules = ExplanationRules { parameters: &parameters, zone: Tz::UTC, now: at("16T12:00") };
    match place(&rows[0], kind, rows, &parameters) {
        Place::NotCompared(reason) => vec![reason],
        Place::Duplicate { of } => vec![explain_duplicate(of)],
        Place::Pair { vima, payshack } => explain_pair(vima, payshack, &rules),
        Place::Alone => explain_absence(&rows[0], rows, facts, &parameters),
    }
}

fn read() -> AbsenceFacts {
    let coverage = Coverage { covered_from: Some(at("01T00:00")), watermark: Some(at("16T11:59")) };
    AbsenceFacts { coverage, ..AbsenceFacts::default() }
}

/// The rows and facts of one example.
struct Case {
    rows: Vec<Row>,
    kind: Kind,
    facts: AbsenceFacts,
}

impl Case {
    /// A pair of which `change` has changed the two rows.
    fn pair(change: impl FnOnce(&mut Row, &mut Row)) -> Self {
        let (mut vima, mut payshack) =
            (row(VIMA, Source::Vima, "15T10:00"), row(PAYSHACK, Source::Payshack, "15T10:05"));
        change(&mut vima, &mut payshack);
        Self { rows: vec![vima, payshack], kind: Kind::Payin, facts: read() }
    }

    fn alone(facts: AbsenceFacts) -> Self {
        Self { rows: vec![row(VIMA, Source::Vima, "15T10:00")], kind: Kind::Payin, facts }
    }
}

/// An example for each reason, which must be the first one.
fn example(code: ReasonCode) -> Case {
    let coverage = |covered_from, watermark| AbsenceFacts { coverage: Coverage { covered_from, watermark }, ..read() };
    match code {
        ReasonCode::Matched => Case::pair(|_, _| {}),
        ReasonCode::AmountDiffers => Case::pair(|_, payshack| payshack.paid_amount = Some(Decimal::TEN)),
        ReasonCode::CurrencyDiffers => Case::pair(|_, payshack| payshack.currency = "BDT".to_owned()),
        ReasonCode::StatusDiffers => Case::pair(|_, payshack| payshack.status = Status::Pending),
        ReasonCode::StatusMayBeLate => Case::pair(|vima, payshack| {
            payshack.status = Status::Pending;
            vima.updated_at = Some(at("16T11:00"));
        }),
        ReasonCode::OtherDay => Case::pair(|vima, payshack| {
            (vima.created_at, payshack.created_at) = (at("15T23:59"), at("16T00:01"));
        }),
        ReasonCode::Duplicate => {
            let kept = row(VIMA, Source::Vima, "15T10:00");
            Case { rows: vec![row(THIRD, Source::Vima, "15T10:01"), kept], ..Case::alone(read()) }
        }
        ReasonCode::Payout => Case { kind: Kind::Payout, ..Case::alone(read()) },
        ReasonCode::ProjectNotReconciled => Case::pair(|vima, _| vima.project = None),
        ReasonCode::NoKey => Case::pair(|vima, _| vima.key = None),
        ReasonCode::Quarantined => {
            let record = QuarantinedRecord { id: THIRD, cause: QuarantineCause::MissingField };
            Case::alone(AbsenceFacts { quarantined: vec![record], ..read() })
        }
        ReasonCode::OutsideWindow => Case::pair(|_, payshack| payshack.created_at = at("17T10:00")),
        ReasonCode::OtherProject => Case::pair(|_, payshack| payshack.project = Some("monetix".to_owned())),
        ReasonCode::KeyDiffers => {
            let similar = Row { key: Some("order-1O42".to_owned()), ..row(PAYSHACK, Source::Payshack, "15T10:05") };
            let similar = SimilarRow { row: similar, difference: KeyDifference::Substitution };
            Case::alone(AbsenceFacts { similar: vec![similar], ..read() })
        }
        ReasonCode::NotSyncedThatFar => Case::alone(coverage(Some(at("01T00:00")), Some(at("15T10:29")))),
        ReasonCode::NotSyncedThatFarBack => Case::alone(coverage(Some(at("15T10:01")), Some(at("16T11:00")))),
        ReasonCode::MissingPayshack => Case::alone(read()),
        ReasonCode::MissingVima => {
            Case { rows: vec![row(PAYSHACK, Source::Payshack, "15T10:00")], ..Case::alone(read()) }
        }
    }
}

#[test]
fn every_reason_follows_from_its_facts_and_says_what_to_do() {
    let mut sentences = BTreeSet::new();
    for code in ReasonCode::ALL {
        let Case { rows, kind, facts } = example(code);
        let reasons = explained(&rows, kind, &facts);
        let codes: Vec<ReasonCode> = reasons.iter().map(Reason::code).collect();
        // A pair of two days is matched first.
        let place = usize::from(code == ReasonCode::OtherDay);
        assert_eq!(codes.get(place), Some(&code), "{codes:?}");
        let reason = &reasons[place];
        assert!(reason.sentence().ends_with('.') && reason.action().ends_with('.'), "{reason:?}");
        assert!(sentences.insert(reason.sentence()), "{reason:?} differs from the others");
        let names_payment =
            [ReasonCode::Duplicate, ReasonCode::OutsideWindow, ReasonCode::OtherProject, ReasonCode::KeyDiffers];
        assert_eq!(reason.transaction_id().is_some(), names_payment.contains(&code), "{reason:?}");
        assert_eq!(reason.quarantine_id().is_some(), code == ReasonCode::Quarantined, "{reason:?}");
    }
}

#[test]
fn pair_can_differ_in_everything_at_once() {
    let Case { rows, kind, facts } = Case::pair(|vima, payshack| {
        (vima.created_at, payshack.created_at) = (at("15T00:01"), at("14T23:59"));
        (payshack.amount, payshack.status) = (Decimal::TEN, Status::Failed);
    });
    let codes: Vec<ReasonCode> = explained(&rows, kind, &facts).iter().map(Reason::code).collect();
    assert_eq!(codes, [ReasonCode::AmountDiffers, ReasonCode::StatusDiffers, ReasonCode::OtherDay]);
}

#[test]
fn key_that_differs_explains_nothing_if_the_amount_differs_too() {
    let Case { rows, kind, mut facts } = example(ReasonCode::KeyDiffers);
    facts.similar[0].row.amount = Decimal::TEN;
    let codes: Vec<ReasonCode> = explained(&rows, kind, &facts).iter().map(Reason::code).collect();
    assert_eq!(codes, [ReasonCode::MissingPayshack]);
}

#[test]
fn payment_of_another_time_is_no_candidate_if_it_has_a_counterpart_of_its_own() {
    let mut rows = vec![row(VIMA, Source::Vima, "15T10:00"), row(PAYSHACK, Source::Payshack, "18T10:05")];
    rows.push(row(THIRD, Source::Vima, "18T10:00"));
    let codes: Vec<ReasonCode> = explained(&rows, Kind::Payin, &read()).iter().map(Reason::code).collect();
    assert_eq!(codes, [ReasonCode::MissingPayshack]);
}

fn arbitrary_row(id: u128) -> impl Strategy<Value = Row> {
    let statuses = proptest::sample::select(vec![Status::Success, Status::Failed, Status::Pending, Status::Processing]);
    (any::<bool>(), statuses, 100_i64..103, 0_i64..4_000, proptest::option::of(0_i64..600)).prop_map(
        move |(is_vima, status, amount, minute, changed)| {
            let source = if is_vima { Source::Vima } else { Source::Payshack };
            let created_at = at("14T00:00") + TimeDelta::minutes(minute);
            let updated_at = changed.map(|minutes| created_at + TimeDelta::minutes(minutes));
            let row = row(Uuid::from_u128(id), source, "14T00:00");
            Row { status, amount: amount.into(), created_at, updated_at, ..row }
        },
    )
}

proptest! {
    /// The verdict of an explanation is that of the rules.
    #[test]
    fn explanation_agrees_with_the_verdict_of_the_rules(
        rows in (arbitrary_row(1), arbitrary_row(2), arbitrary_row(3)).prop_map(|(one, two, three)| vec![one, two, three]),
    ) {
        let parameters = Parameters::default();
        let now = at("16T12:00");
        let facts = read();
        let all: Vec<&Row> = rows.iter().collect();
        for group in groups(all, &parameters) {
            let verdict = match (group.vima, group.payshack) {
                (Some(vima), Some(payshack)) => judge_pair(vima, payshack, now, &parameters).status,
                (Some(row), None) | (None, Some(row)) => judge_alone(row, facts.coverage, &parameters).status,
                (None, None) => continue,
            };
            let kept = [group.vima, group.payshack].into_iter().flatten().map(|row| (row, verdict));
            for (row, verdict) in kept.chain(group.duplicates.iter().map(|row| (*row, MatchStatus::Duplicate))) {
                let mut ordered = rows.clone();
                ordered.sort_by_key(|other| other.id != row.id);
                let reasons = explained(&ordered, Kind::Payin, &facts);
                prop_assert_eq!(reasons.iter().find_map(Reason::verdict), Some(verdict), "{:?}", reasons);
            }
        }
    }
}
