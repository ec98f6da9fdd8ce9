//! The cells that the metrics are answered from, and how a change of a payment moves them.
//!
//! A cell is a quarter of an hour of payments that share every dimension. A change takes the old telling out of its cell
//! and puts the new one into its own, so cells are exact at every commit, and only differences are written.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::exchange_rate::Valuation;
use super::status::Status;
use super::transaction::{Kind, Source, Transaction};

/// What the payments of a cell share. An absent dimension is an empty text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The start of the quarter of an hour they were created in.
    pub bucket: DateTime<Utc>,
    /// Who told of them.
    pub source: Source,
    /// Pay-ins or pay-outs.
    pub kind: Kind,
    /// The merchant's project.
    pub project: String,
    /// The merchant's account.
    pub merchant_id: String,
    /// The payer's country.
    pub country: String,
    /// How they were paid.
    pub payment_method: String,
    /// The currency of the amounts.
    pub currency: String,
    /// Their state.
    pub status: Status,
}

/// What is counted of the payments of a cell, or the difference that a change makes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measures {
    /// How many payments.
    pub count: i64,
    /// The sum of their amounts.
    pub amount: Decimal,
    /// The sum of their amounts in US dollars, of those that have one.
    pub amount_usd: Decimal,
    /// The sum of their fees.
    pub fee: Decimal,
    /// The sum of their fees in US dollars, of those that have one.
    pub fee_usd: Decimal,
    /// How many have no amount in US dollars.
    pub usd_missing: i64,
}

impl Measures {
    /// What one payment adds, given its amount, its fee and what it is worth.
    #[must_use]
    pub fn of(amount: Decimal, fee: Option<Decimal>, valuation: Option<&Valuation>) -> Self {
        let amount_usd = valuation.and_then(|valuation| valuation.amount_usd);
        let fee_usd = valuation.and_then(|valuation| valuation.fee_usd);
        Self {
            count: 1,
            amount,
            amount_usd: amount_usd.unwrap_or_default(),
            fee: fee.unwrap_or_default(),
            fee_usd: fee_usd.unwrap_or_default(),
            usd_missing: i64::from(amount_usd.is_none()),
        }
    }

    fn add(&mut self, other: &Self, sign: i64) {
        let factor = Decimal::from(sign);
        self.count += sign * other.count;
        self.amount += factor * other.amount;
        self.amount_usd += factor * other.amount_usd;
        self.fee += factor * other.fee;
        self.fee_usd += factor * other.fee_usd;
        self.usd_missing += sign * other.usd_missing;
    }
}

impl std::ops::AddAssign for Measures {
    fn add_assign(&mut self, more: Self) {
        self.add(&more, 1);
    }
}

/// One payment's place in the cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The cell it belongs to.
    pub cell: Cell,
    /// What it adds to it.
    pub measures: Measures,
}

impl Share {
    /// The share of a payment that is worth `valuation`.
    #[must_use]
    pub fn of(payment: &Transaction, valuation: Option<&Valuation>) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            cell: Cell {
                bucket: quarter_hour(payment.created_at),
                source: payment.key.source,
                kind: payment.key.kind,
                project: text(&payment.project),
                merchant_id: text(&payment.merchant_id),
                country: text(&payment.country),
                payment_method: text(&payment.payment_method),
                currency: payment.currency.as_str().to_owned(),
                status: payment.status,
            },
            measures: Measures::of(payment.amount, payment.fee, valuation),
        }
    }
}

/// The start of the quarter of an hour that `time` falls in.
#[must_use]
pub fn quarter_hour(time: DateTime<Utc>) -> DateTime<Utc> {
    // Rounding fails only for times that nanoseconds of 64 bits cannot count: centuries from any payment.
    time.duration_trunc(TimeDelta::minutes(15)).unwrap_or(time)
}

/// Differences to cells, in the order of their keys, so that two writers never wait for each other in a circle.
#[derive(Debug, Default)]
pub struct Deltas(BTreeMap<Cell, Measures>);

impl Deltas {
    /// Takes `before` out of its cell and puts `after` into its own.
    pub fn change(&mut self, before: Option<&Share>, after: &Share) {
        if let Some(before) = before {
            self.0.entry(before.cell.clone()).or_default().add(&before.measures, -1);
        }
        self.0.entry(after.cell.clone()).or_default().add(&after.measures, 1);
    }

    /// The cells that really move.
    #[must_use]
    pub fn into_moves(self) -> Vec<(Cell, Measures)> {
        self.0.into_iter().filter(|(_, measures)| *measures != Measures::default()).collect()
    }
}
