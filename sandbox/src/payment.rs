//! A payment, from which the records of both providers are derived.
//!
//! The records agree unless the payment has a seeded discrepancy. Discrepancies are a property of the payment instead of
//! changes to finished records.

use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use strum::IntoStaticStr;

use crate::{
    money::{Amount, Currency},
    status::OriginalStatus,
    timestamp::Timestamp,
};

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;

/// A merchant at Vima.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub(crate) enum Project {
    #[strum(serialize = "91game")]
    Game,
    Monetix,
    Caroussel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failed,
    Refunded,
    Open,
    Unknown,
}

impl Outcome {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        match rng.random_range(0..100) {
            0..70 => Self::Success,
            70..90 => Self::Failed,
            90..99 => Self::Open,
            _ => Self::Unknown,
        }
    }

    /// One of Vima's statuses for the outcome.
    pub(crate) fn vima_status(self, variant: u8) -> OriginalStatus {
        OriginalStatus::Borrowed(match (self, variant % 8) {
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

    /// One of PayShack's statuses for the outcome.
    pub(crate) fn payshack_status(self, variant: u8) -> OriginalStatus {
        OriginalStatus::Borrowed(match (self, variant % 8) {
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

/// How the providers' records of a payment differ. The control API returns the variant names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeededDiscrepancy {
    Amount,
    Status,
    MissingOnVima,
    MissingOnPayShack,
    TwiceOnVima,
    TwiceOnPayShack,
}

impl SeededDiscrepancy {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        match rng.random_range(0..20) {
            0..5 => Self::Status,
            5..8 => Self::MissingOnVima,
            8..11 => Self::MissingOnPayShack,
            11 => Self::TwiceOnVima,
            12 => Self::TwiceOnPayShack,
            _ => Self::Amount,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) created: Timestamp,
    pub(crate) payshack_created_at: Timestamp,
    pub(crate) payshack_settled_at: Timestamp,
    /// Shortly after `payshack_settled_at`.
    pub(crate) vima_settled_at: Timestamp,
    pub(crate) key: Arc<str>,
    pub(crate) project: Project,
    pub(crate) requested: Amount,
    pub(crate) paid: Amount,
    pub(crate) outcome: Outcome,
    pub(crate) discrepancy: Option<SeededDiscrepancy>,
    /// Random number that selects among equivalent statuses and similar details.
    pub(crate) variant: u8,
}

impl Payment {
    /// `discrepancy_share` is the probability of a discrepancy if the payment goes through PayShack.
    pub(crate) fn random(rng: &mut ChaCha8Rng, created: Timestamp, discrepancy_share: f64) -> Self {
        let project = match rng.random_range(0..100) {
            0..70 => Project::Game,
            70..88 => Project::Monetix,
            _ => Project::Caroussel,
        };
        Self::random_for(project, rng, created, discrepancy_share)
    }

    pub(crate) fn random_for(
        project: Project,
        rng: &mut ChaCha8Rng,
        created: Timestamp,
        discrepancy_share: f64,
    ) -> Self {
        let requested = Amount { minor: minor_units(rng), currency: currency(rng, project) };
        let discrepancy =
            (project == Project::Game && rng.random_bool(discrepancy_share)).then(|| SeededDiscrepancy::random(rng));
        let outcome = Outcome::random(rng);
        let underpaid = rng.random_bool(0.01) && discrepancy.is_none() && requested.minor > 1000;
        let payshack_created_at = created.plus_millis(rng.random_range(500..25 * SECOND));
        let slow = rng.random_bool(0.03) && discrepancy.is_none();
        let duration =
            if slow { rng.random_range(HOUR..30 * HOUR) } else { rng.random_range(5 * SECOND..120 * SECOND) };
        let payshack_settled_at = payshack_created_at.plus_millis(duration);
        Self {
            created,
            payshack_created_at,
            payshack_settled_at,
            vima_settled_at: payshack_settled_at.plus_millis(rng.random_range(800..8 * SECOND)),
            key: key(rng, created),
            project,
            requested,
            paid: Amount { minor: requested.minor - if underpaid { 100 } else { 0 }, ..requested },
            outcome,
            discrepancy,
            variant: rng.random(),
        }
    }

    /// Moves the payment so that Vima creates its record before midnight and PayShack after.
    pub(crate) fn straddling(mut self, midnight: Timestamp) -> Self {
        let duration = self.payshack_settled_at.millis() - self.payshack_created_at.millis();
        let vima_delay = self.vima_settled_at.millis() - self.payshack_settled_at.millis();
        self.created = midnight.plus_millis(-(1 + i64::from(self.variant) * 20));
        self.payshack_created_at = midnight.plus_millis(1 + i64::from(self.variant) * 40);
        self.payshack_settled_at = self.payshack_created_at.plus_millis(duration);
        self.vima_settled_at = self.payshack_settled_at.plus_millis(vima_delay);
        self
    }

    /// The payment as known at `now`: open if it is not settled yet.
    pub(crate) fn known_at(mut self, now: Timestamp) -> Self {
        if self.vima_settled_at > now {
            self.outcome = Outcome::Open;
        }
        self.payshack_created_at = self.payshack_created_at.min(now);
        self.payshack_settled_at = self.payshack_settled_at.min(now);
        self.vima_settled_at = self.vima_settled_at.min(now);
        self
    }

    pub(crate) fn goes_through_payshack(&self) -> bool {
        self.project == Project::Game
    }

    pub(crate) fn has(&self, discrepancy: SeededDiscrepancy) -> bool {
        self.discrepancy == Some(discrepancy)
    }

    /// The outcome that PayShack reports.
    pub(crate) fn payshack_outcome(&self) -> Outcome {
        match (self.discrepancy, self.outcome) {
            (Some(SeededDiscrepancy::Status), Outcome::Success) => match self.variant % 3 {
                0 => Outcome::Failed,
                1 => Outcome::Refunded,
                _ => Outcome::Open,
            },
            (Some(SeededDiscrepancy::Status), _) => Outcome::Success,
            (_, outcome) => outcome,
        }
    }

    /// The requested and the paid amount that PayShack reports. For unsuccessful payments only the requested amount is
    /// compared, so a discrepancy changes that one.
    pub(crate) fn payshack_amounts(&self) -> (Amount, Amount) {
        let wrong = |amount: Amount| Amount { minor: amount.minor + 100 * (1 + i64::from(self.variant)), ..amount };
        match (self.discrepancy, self.payshack_outcome()) {
            (Some(SeededDiscrepancy::Amount), Outcome::Success) => (self.requested, wrong(self.paid)),
            (Some(SeededDiscrepancy::Amount), _) => (wrong(self.requested), self.paid),
            _ => (self.requested, self.paid),
        }
    }
}

/// From 100 to 50,000 major units: most amounts are round, some have a fraction.
fn minor_units(rng: &mut ChaCha8Rng) -> i64 {
    let magnitude = 10_i64.pow(rng.random_range(2..5));
    let major = (magnitude * rng.random_range(10..100) / 10).min(50_000);
    match rng.random_range(0..100) {
        0..60 => major / 100 * 10_000,
        60..85 => (major + rng.random_range(0..100)) * 100,
        _ => major * 100 + rng.random_range(1..10_000),
    }
}

fn currency(rng: &mut ChaCha8Rng, project: Project) -> Currency {
    match (project, rng.random_range(0..100)) {
        (Project::Game, _) | (_, 0..70) => Currency::Inr,
        (_, 70..85) => Currency::Eur,
        (_, 85..98) => Currency::Usd,
        _ => Currency::Jpy,
    }
}

/// The merchant's own id: mostly digits derived from the creation time, sometimes letters. Both forms are long enough to
/// be unique among half a million payments.
fn key(rng: &mut ChaCha8Rng, created: Timestamp) -> Arc<str> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    if rng.random_bool(0.75) {
        return format!("{}{:05}", created.millis(), rng.random_range(0..100_000)).into();
    }
    let letters = (0..13).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
    std::iter::once('A').chain(letters).collect::<String>().into()
}
