//! One payment as it really happened, before either provider wrote it down.
//!
//! Both providers' records are made from it, so they agree unless the payment carries a flaw: the known discrepancies
//! are planned here, in the payment, not sprinkled over finished records.

use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    moment::Moment,
    money::{Amount, Currency},
    status::Word,
};

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;

/// A shop that collects through Vima.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Project {
    Game,
    Monetix,
    Caroussel,
}

impl Project {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Game => "91game",
            Self::Monetix => "monetix",
            Self::Caroussel => "caroussel",
        }
    }
}

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failed,
    Refunded,
    Open,
    Unknown,
}

impl Outcome {
    fn drawn(dice: &mut ChaCha8Rng) -> Self {
        match dice.random_range(0..100) {
            0..70 => Self::Success,
            70..90 => Self::Failed,
            90..99 => Self::Open,
            _ => Self::Unknown,
        }
    }

    /// One of the words Vima has for it.
    pub(crate) fn at_vima(self, shade: u8) -> Word {
        Word::Borrowed(match (self, shade % 8) {
            (Self::Success | Self::Refunded, _) => "success",
            (Self::Failed, 0) => "failed",
            (Self::Failed, _) => "fail",
            (Self::Open, 0..3) => "in_process",
            (Self::Open, 3) => "in process",
            (Self::Open, 4..6) => "user_input_required",
            (Self::Open, _) => "pending",
            (Self::Unknown, 0..4) => "on_hold",
            (Self::Unknown, _) => "partially_paid",
        })
    }

    /// One of the words `PayShack` has for it.
    pub(crate) fn at_payshack(self, shade: u8) -> Word {
        Word::Borrowed(match (self, shade % 8) {
            (Self::Success, 0) => "SUCCESS",
            (Self::Success, _) => "Success",
            (Self::Failed, 0) => "Tampered",
            (Self::Failed, _) => "Failed",
            (Self::Refunded, 0..2) => "CB_Refunded",
            (Self::Refunded, _) => "Refunded",
            (Self::Open, 0..2) => "Initiated",
            (Self::Open, 2..4) => "Pending",
            (Self::Open, 4..6) => "In Process",
            (Self::Open, _) => "Incomplete",
            (Self::Unknown, 0..4) => "On Hold",
            (Self::Unknown, _) => "Under Review",
        })
    }
}

/// How the two providers come to disagree about a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Amount,
    Status,
    MissingOnVima,
    MissingOnPayShack,
    TwiceOnVima,
    TwiceOnPayShack,
}

impl Flaw {
    fn drawn(dice: &mut ChaCha8Rng) -> Self {
        match dice.random_range(0..20) {
            0..5 => Self::Status,
            5..8 => Self::MissingOnVima,
            8..11 => Self::MissingOnPayShack,
            11 => Self::TwiceOnVima,
            12 => Self::TwiceOnPayShack,
            _ => Self::Amount,
        }
    }
}

/// A payment from its creation to its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) created: Moment,
    /// When `PayShack` writes it down.
    pub(crate) arrives: Moment,
    /// When `PayShack` knows the outcome; Vima hears of it a little later.
    pub(crate) payin_settles: Moment,
    pub(crate) operation_settles: Moment,
    pub(crate) key: Arc<str>,
    pub(crate) project: Project,
    pub(crate) requested: Amount,
    pub(crate) paid: Amount,
    pub(crate) outcome: Outcome,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) shade: u8,
}

impl Payment {
    /// Makes up a payment; a share of those that go through `PayShack` is flawed.
    pub(crate) fn drawn(dice: &mut ChaCha8Rng, created: Moment, flawed: f64) -> Self {
        let project = match dice.random_range(0..100) {
            0..70 => Project::Game,
            70..88 => Project::Monetix,
            _ => Project::Caroussel,
        };
        Self::drawn_for(project, dice, created, flawed)
    }

    pub(crate) fn drawn_for(project: Project, dice: &mut ChaCha8Rng, created: Moment, flawed: f64) -> Self {
        let requested = Amount { minor: minor_units(dice), currency: currency(dice, project) };
        let flaw = (project == Project::Game && dice.random_bool(flawed)).then(|| Flaw::drawn(dice));
        let outcome = Outcome::drawn(dice);
        let differently_paid = dice.random_bool(0.01) && flaw.is_none() && requested.minor > 1000;
        let arrives = created.plus(dice.random_range(500..25 * SECOND));
        let slow = dice.random_bool(0.03) && flaw.is_none();
        let takes = if slow { dice.random_range(HOUR..30 * HOUR) } else { dice.random_range(5 * SECOND..120 * SECOND) };
        let payin_settles = arrives.plus(takes);
        Self {
            created,
            arrives,
            payin_settles,
            operation_settles: payin_settles.plus(dice.random_range(800..8 * SECOND)),
            key: key(dice, created),
            project,
            requested,
            paid: Amount { minor: requested.minor - if differently_paid { 100 } else { 0 }, ..requested },
            outcome,
            flaw,
            shade: dice.random(),
        }
    }

    /// Moves the creation so that the two providers' records lie on two days.
    pub(crate) fn split_at(mut self, midnight: Moment) -> Self {
        let takes = self.payin_settles.millis() - self.arrives.millis();
        let hears = self.operation_settles.millis() - self.payin_settles.millis();
        self.created = midnight.plus(-(1 + i64::from(self.shade) * 20));
        self.arrives = midnight.plus(1 + i64::from(self.shade) * 40);
        self.payin_settles = self.arrives.plus(takes);
        self.operation_settles = self.payin_settles.plus(hears);
        self
    }

    /// A payment not settled at `now` is an open one still.
    pub(crate) fn seen_at(mut self, now: Moment) -> Self {
        if self.operation_settles > now {
            self.outcome = Outcome::Open;
        }
        self.arrives = self.arrives.min(now);
        self.payin_settles = self.payin_settles.min(now);
        self.operation_settles = self.operation_settles.min(now);
        self
    }

    pub(crate) fn goes_through_payshack(&self) -> bool {
        self.project == Project::Game
    }

    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// What `PayShack` says became of it.
    pub(crate) fn outcome_at_payshack(&self) -> Outcome {
        match (self.flaw, self.outcome) {
            (Some(Flaw::Status), Outcome::Success) => match self.shade % 3 {
                0 => Outcome::Failed,
                1 => Outcome::Refunded,
                _ => Outcome::Open,
            },
            (Some(Flaw::Status), _) => Outcome::Success,
            (_, outcome) => outcome,
        }
    }

    /// The requested and the paid amount as `PayShack` has them; of an unpaid payment only the first is compared.
    pub(crate) fn amounts_at_payshack(&self) -> (Amount, Amount) {
        let wrong = |amount: Amount| Amount { minor: amount.minor + 100 * (1 + i64::from(self.shade)), ..amount };
        match (self.flaw, self.outcome_at_payshack()) {
            (Some(Flaw::Amount), Outcome::Success) => (self.requested, wrong(self.paid)),
            (Some(Flaw::Amount), _) => (wrong(self.requested), self.paid),
            _ => (self.requested, self.paid),
        }
    }
}

/// From a hundred to fifty thousand, most of them round, some with paise.
fn minor_units(dice: &mut ChaCha8Rng) -> i64 {
    let magnitude = 10_i64.pow(dice.random_range(2..5));
    let major = (magnitude * dice.random_range(10..100) / 10).min(50_000);
    match dice.random_range(0..100) {
        0..60 => major / 100 * 10_000,
        60..85 => (major + dice.random_range(0..100)) * 100,
        _ => major * 100 + dice.random_range(1..10_000),
    }
}

fn currency(dice: &mut ChaCha8Rng, project: Project) -> Currency {
    match (project, dice.random_range(0..100)) {
        (Project::Game, _) | (_, 0..70) => Currency::Inr,
        (_, 70..85) => Currency::Eur,
        (_, 85..98) => Currency::Usd,
        _ => Currency::Jpy,
    }
}

/// The merchant's own id: mostly digits grown from the time, sometimes letters. Both are long enough never to repeat in
/// half a million payments.
fn key(dice: &mut ChaCha8Rng, created: Moment) -> Arc<str> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    if dice.random_bool(0.75) {
        return format!("{}{:05}", created.millis(), dice.random_range(0..100_000)).into();
    }
    let letters = (0..13).map(|_| char::from(LETTERS[dice.random_range(0..LETTERS.len())]));
    std::iter::once('A').chain(letters).collect::<String>().into()
}
