//! The cells that the metrics are answered from, and how a change of a payment moves them.
//!
//! A change takes the old telling out of its cells and puts the new one into its own, so cells are exact at every commit, and
//! only differences are written. Every cell belongs to one source, whose writers take turns: nobody waits for a cell.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, DurationRound, NaiveDate, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::amount_band::AmountBand;
use crate::domain::exchange_rate::Valuation;
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::domain::transaction::{Kind, Source, Transaction};

string_enum! {
    /// How long the time of a cell is. Whole ones of a width make one of the next.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Width {
        /// A quarter of an hour: every zone's offset is a multiple of it.
        Quarter = "quarter",
        /// An hour.
        Hour = "hour",
        /// A day of UTC.
        Day = "day",
    }
}

impl Width {
    /// Every width, the widest first.
    pub const WIDEST_FIRST: [Self; 3] = [Self::Day, Self::Hour, Self::Quarter];

    /// How long it is.
    #[must_use]
    pub fn length(self) -> TimeDelta {
        match self {
            Self::Quarter => TimeDelta::minutes(15),
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        }
    }

    /// The start of the cell that `time` falls in.
    #[must_use]
    pub fn start(self, time: DateTime<Utc>) -> DateTime<Utc> {
        // Rounding fails only for times that nanoseconds of 64 bits cannot count: centuries from any payment.
        time.duration_trunc(self.length()).unwrap_or(time)
    }
}

string_enum! {
    /// Which dimensions cells tell apart, beside source, kind, currency and status, which all do.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Facet {
        /// None.
        All = "all",
        /// The project.
        Project = "project",
        /// The project, and its merchant.
        Merchant = "merchant",
        /// The payer's country.
        Country = "country",
        /// How it was paid.
        PaymentMethod = "payment_method",
        /// The band of its amount.
        AmountBand = "amount_band",
        /// The project, and the payer's country.
        ProjectCountry = "project_country",
        /// The project, and how it was paid.
        ProjectPaymentMethod = "project_payment_method",
    }
}

impl Facet {
    /// The narrowest of its cells. Of many members, narrow cells would be as many as payments; what is narrower than these is
    /// counted from the payments themselves, of which there are few in an hour, or in a day of one project.
    #[must_use]
    pub fn finest(self) -> Width {
        match self {
            Self::All | Self::Project | Self::AmountBand => Width::Quarter,
            Self::Merchant | Self::Country | Self::PaymentMethod => Width::Hour,
            Self::ProjectCountry | Self::ProjectPaymentMethod => Width::Day,
        }
    }

    /// Whether its cells tell projects apart.
    #[must_use]
    pub fn has_project(self) -> bool {
        matches!(self, Self::Project | Self::Merchant | Self::ProjectCountry | Self::ProjectPaymentMethod)
    }

    fn widths(self) -> impl Iterator<Item = Width> {
        Width::WIDEST_FIRST.into_iter().filter(move |width| *width >= self.finest())
    }
}

/// What the payments of a cell share. An absent dimension is an empty text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Which dimensions it tells apart.
    pub facet: Facet,
    /// How long its time is.
    pub width: Width,
    /// The merchant's project, where the facet has one.
    pub project: String,
    /// The merchant, country, method or band, where the facet has one.
    pub member: String,
    /// The start of its time.
    pub bucket: DateTime<Utc>,
    /// Who told of the payments.
    pub source: Source,
    /// Pay-ins or pay-outs.
    pub kind: Kind,
    /// The currency of the amounts.
    pub currency: String,
    /// Their state.
    pub status: Status,
}

/// What is counted of payments, or the difference that a change makes to it.
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
    pub fn new(amount: Decimal, fee: Option<Decimal>, valuation: Option<&Valuation>) -> Self {
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

/// Where a payment stands in every dimension. What it does not say is an empty text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dimensions {
    /// The start of the quarter of an hour it was created in.
    pub quarter: DateTime<Utc>,
    /// Who told of it.
    pub source: Source,
    /// Pay-in or pay-out.
    pub kind: Kind,
    /// The merchant's project.
    pub project: String,
    /// The merchant's account.
    pub merchant_id: String,
    /// The payer's country.
    pub country: String,
    /// How it was paid.
    pub payment_method: String,
    /// The band of its amount.
    pub amount_band: AmountBand,
    /// The currency of its amount.
    pub currency: String,
    /// Its state.
    pub status: Status,
}

impl Dimensions {
    /// The cells of all facets and widths that it lies in.
    fn cells(&self) -> impl Iterator<Item = Cell> {
        Facet::ALL.into_iter().flat_map(move |facet| facet.widths().map(move |width| self.cell(facet, width)))
    }

    fn cell(&self, facet: Facet, width: Width) -> Cell {
        let member = match facet {
            Facet::All | Facet::Project => "",
            Facet::Merchant => &self.merchant_id,
            Facet::Country | Facet::ProjectCountry => &self.country,
            Facet::PaymentMethod | Facet::ProjectPaymentMethod => &self.payment_method,
            Facet::AmountBand => self.amount_band.as_str(),
        };
        Cell {
            facet,
            width,
            project: if facet.has_project() { self.project.clone() } else { String::new() },
            member: member.to_owned(),
            bucket: width.start(self.quarter),
            source: self.source,
            kind: self.kind,
            currency: self.currency.clone(),
            status: self.status,
        }
    }
}

/// One payment's part of the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// Where it stands.
    pub dimensions: Dimensions,
    /// What it adds there.
    pub measures: Measures,
}

impl Contribution {
    /// The share of a payment that is worth `valuation`.
    #[must_use]
    pub fn new(payment: &Transaction, valuation: Option<&Valuation>) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            dimensions: Dimensions {
                quarter: Width::Quarter.start(payment.created_at),
                source: payment.key.source,
                kind: payment.key.kind,
                project: text(&payment.project),
                merchant_id: text(&payment.merchant_id),
                country: text(&payment.country),
                payment_method: text(&payment.payment_method),
                amount_band: AmountBand::from_amount(payment.amount),
                currency: payment.currency.as_str().to_owned(),
                status: payment.status,
            },
            measures: Measures::new(payment.amount, payment.fee, valuation),
        }
    }
}

/// Differences that changes of payments make.
#[derive(Debug, Default)]
pub struct Deltas(HashMap<Dimensions, Measures>);

impl Deltas {
    /// Takes `before` out of its dimensions and puts `after` into its own.
    pub fn change(&mut self, before: Option<&Contribution>, after: &Contribution) {
        if let Some(before) = before {
            self.0.entry(before.dimensions.clone()).or_default().add(&before.measures, -1);
        }
        self.0.entry(after.dimensions.clone()).or_default().add(&after.measures, 1);
    }

    /// The days of UTC of the payments that changed, also of those that changed nothing that is counted.
    #[must_use]
    pub fn days(&self) -> BTreeSet<NaiveDate> {
        self.0.keys().map(|dimensions| dimensions.quarter.date_naive()).collect()
    }

    /// The cells that really move, in the order of their keys, in which they are found fastest.
    #[must_use]
    pub fn into_cell_deltas(self) -> Vec<(Cell, Measures)> {
        let mut moves: BTreeMap<Cell, Measures> = BTreeMap::new();
        for (dimensions, measures) in self.0.into_iter().filter(|(_, measures)| *measures != Measures::default()) {
            for cell in dimensions.cells() {
                *moves.entry(cell).or_default() += measures;
            }
        }
        moves.into_iter().filter(|(_, measures)| *measures != Measures::default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(status: Status, amount: i64) -> Contribution {
        let amount = Decimal::from(amount);
        let dimensions = Dimensions {
            quarter: DateTime::UNIX_EPOCH + TimeDelta::minutes(45),
            source: Source::Vima,
            kind: Kind::Payin,
            project: "monetix".to_owned(),
            merchant_id: "merchant-7".to_owned(),
            country: "IN".to_owned(),
            payment_method: String::new(),
            amount_band: AmountBand::from_amount(amount),
            currency: "INR".to_owned(),
            status,
        };
        Contribution { dimensions, measures: Measures::new(amount, None, None) }
    }

    #[test]
    fn a_payment_lies_in_a_cell_of_every_facet_and_width() {
        let mut deltas = Deltas::default();
        deltas.change(None, &share(Status::Success, 50));
        let moves = deltas.into_cell_deltas();
        let of = |facet: Facet| -> Vec<(Width, i64, &str, &str)> {
            let cells = moves.iter().map(|(cell, _)| cell).filter(|cell| cell.facet == facet);
            cells.map(|cell| (cell.width, cell.bucket.timestamp() / 60, &*cell.project, &*cell.member)).collect()
        };
        let (quarter, hour, day) = ((Width::Quarter, 45), (Width::Hour, 0), (Width::Day, 0));
        let expect = |widths: &[(Width, i64)], project: &'static str, member: &'static str| -> Vec<_> {
            widths.iter().map(|(width, minute)| (*width, *minute, project, member)).collect()
        };
        assert_eq!(of(Facet::All), expect(&[quarter, hour, day], "", ""));
        assert_eq!(of(Facet::Project), expect(&[quarter, hour, day], "monetix", ""));
        assert_eq!(of(Facet::AmountBand), expect(&[quarter, hour, day], "", "0"));
        assert_eq!(of(Facet::Merchant), expect(&[hour, day], "monetix", "merchant-7"));
        assert_eq!(of(Facet::Country), expect(&[hour, day], "", "IN"));
        assert_eq!(of(Facet::PaymentMethod), expect(&[hour, day], "", ""));
        assert_eq!(of(Facet::ProjectCountry), expect(&[day], "monetix", "IN"));
        assert_eq!(of(Facet::ProjectPaymentMethod), expect(&[day], "monetix", ""));
        assert!(moves.iter().all(|(_, measures)| measures.count == 1 && measures.amount == Decimal::from(50)));
    }

    #[test]
    fn a_change_moves_only_what_differs() {
        let (pending, success) = (share(Status::Pending, 50), share(Status::Success, 50));
        let mut deltas = Deltas::default();
        deltas.change(Some(&pending), &success);
        deltas.change(Some(&success), &success);
        let moves = deltas.into_cell_deltas();
        let counts =
            |status| moves.iter().filter(move |(cell, _)| cell.status == status).map(|(_, measures)| measures.count);
        assert!(counts(Status::Pending).all(|count| count == -1));
        assert!(counts(Status::Success).all(|count| count == 1));
        assert_eq!(counts(Status::Pending).count(), counts(Status::Success).count());
        let mut nothing = Deltas::default();
        nothing.change(Some(&pending), &pending);
        assert_eq!(nothing.days().len(), 1, "its raw text may be another");
        assert_eq!(nothing.into_cell_deltas(), vec![]);
        // Another amount of the same band moves the sums, and no count.
        let mut dearer = Deltas::default();
        dearer.change(Some(&pending), &share(Status::Pending, 60));
        let moves = dearer.into_cell_deltas();
        assert!(moves.iter().all(|(_, measures)| (measures.count, measures.amount) == (0, Decimal::TEN)));
    }
}
