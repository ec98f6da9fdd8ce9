//! Rollup cells, and how a change of a payment changes them.
//!
//! A change subtracts the old version of the payment from its cells and adds the new one, so cells are exact at every
//! commit, and only differences are written. Every cell belongs to one source, whose writers are serialized: no writer
//! waits for a cell.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, DurationRound, NaiveDate, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::amount_band::AmountBand;
use crate::domain::exchange_rate::Valuation;
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::domain::transaction::{Kind, Source, Transaction};

string_enum! {
    /// The duration of a cell. Each is a multiple of the one before.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Width {
        /// 15 minutes: every zone's offset is a multiple of it.
        Quarter = "quarter",
        Hour = "hour",
        /// A day of UTC.
        Day = "day",
    }
}

impl Width {
    pub const WIDEST_FIRST: [Self; 3] = [Self::Day, Self::Hour, Self::Quarter];

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
        // Fails only for times outside the range of 64-bit nanoseconds: centuries from any payment.
        time.duration_trunc(self.length()).unwrap_or(time)
    }
}

string_enum! {
    /// The dimensions of a cell, besides source, kind, currency and status, which all cells have.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Facet {
        All = "all",
        Project = "project",
        /// Project and merchant.
        Merchant = "merchant",
        Country = "country",
        PaymentMethod = "payment_method",
        AmountBand = "amount_band",
        ProjectCountry = "project_country",
        ProjectPaymentMethod = "project_payment_method",
        /// The facets named after `PayShack` have only its pay-ins, and all of them distinguish the project. They are what is
        /// subtracted from the facet without the project: see [`MetricQuery::subtracted`](super::query::MetricQuery::subtracted).
        PayshackProject = "payshack_project",
        PayshackAmountBand = "payshack_amount_band",
        PayshackCountry = "payshack_country",
        PayshackPaymentMethod = "payshack_payment_method",
    }
}

impl Facet {
    /// The narrowest width of its cells. With many members, narrow cells would be as numerous as payments. Shorter times are
    /// counted from the payments themselves, which are few within an hour, or within a day of one project.
    #[must_use]
    pub fn finest(self) -> Width {
        match self {
            Self::All | Self::Project | Self::AmountBand | Self::PayshackProject | Self::PayshackAmountBand => {
                Width::Quarter
            }
            Self::Merchant
            | Self::Country
            | Self::PaymentMethod
            | Self::PayshackCountry
            | Self::PayshackPaymentMethod => Width::Hour,
            Self::ProjectCountry | Self::ProjectPaymentMethod => Width::Day,
        }
    }

    #[must_use]
    pub fn has_project(self) -> bool {
        !matches!(self, Self::All | Self::Country | Self::PaymentMethod | Self::AmountBand)
    }

    /// Whether it has only the pay-ins of `PayShack`.
    #[must_use]
    pub fn has_only_payshack_payins(self) -> bool {
        matches!(
            self,
            Self::PayshackProject | Self::PayshackAmountBand | Self::PayshackCountry | Self::PayshackPaymentMethod
        )
    }

    fn widths(self) -> impl Iterator<Item = Width> {
        Width::WIDEST_FIRST.into_iter().filter(move |width| *width >= self.finest())
    }
}

/// The key of a cell. Absent dimensions are empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub facet: Facet,
    pub width: Width,
    /// Empty if the facet has no project.
    pub project: String,
    /// The merchant, country, payment method or amount band, if the facet has one.
    pub member: String,
    /// The start of the cell.
    pub bucket: DateTime<Utc>,
    pub source: Source,
    pub kind: Kind,
    pub currency: String,
    pub status: Status,
}

/// Count and sums of payments, or a difference of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measures {
    pub count: i64,
    pub amount: Decimal,
    /// Payments without a known amount in US dollars add nothing.
    pub amount_usd: Decimal,
    pub fee: Decimal,
    pub fee_usd: Decimal,
    /// The number of payments without an amount in US dollars.
    pub usd_missing: i64,
}

impl Measures {
    /// The measures of one payment.
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

    /// `None` if a sum is too large.
    #[must_use]
    pub fn checked_add(&self, more: &Self) -> Option<Self> {
        Some(Self {
            count: self.count.checked_add(more.count)?,
            amount: self.amount.checked_add(more.amount)?,
            amount_usd: self.amount_usd.checked_add(more.amount_usd)?,
            fee: self.fee.checked_add(more.fee)?,
            fee_usd: self.fee_usd.checked_add(more.fee_usd)?,
            usd_missing: self.usd_missing.checked_add(more.usd_missing)?,
        })
    }

    /// Takes out payments that are among these.
    pub(super) fn subtract(&mut self, part: &Self) {
        self.add(part, -1);
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

impl std::ops::SubAssign for Measures {
    fn sub_assign(&mut self, less: Self) {
        self.add(&less, -1);
    }
}

impl std::ops::AddAssign for Measures {
    fn add_assign(&mut self, more: Self) {
        self.add(&more, 1);
    }
}

/// The values of a payment in all dimensions. Absent values are empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dimensions {
    /// The start of the quarter of an hour in which it was created.
    pub quarter: DateTime<Utc>,
    pub source: Source,
    pub kind: Kind,
    pub project: String,
    pub merchant_id: String,
    pub country: String,
    pub payment_method: String,
    pub amount_band: AmountBand,
    pub currency: String,
    pub status: Status,
}

impl Dimensions {
    /// The cells of all facets and widths that contain the payment.
    fn cells(&self) -> impl Iterator<Item = Cell> {
        let is_payshack_payin = (self.source, self.kind) == (Source::Payshack, Kind::Payin);
        let facets = Facet::ALL.into_iter().filter(move |facet| is_payshack_payin || !facet.has_only_payshack_payins());
        facets.flat_map(move |facet| facet.widths().map(move |width| self.cell(facet, width)))
    }

    fn cell(&self, facet: Facet, width: Width) -> Cell {
        let member = match facet {
            Facet::All | Facet::Project | Facet::PayshackProject => "",
            Facet::Merchant => &self.merchant_id,
            Facet::Country | Facet::ProjectCountry | Facet::PayshackCountry => &self.country,
            Facet::PaymentMethod | Facet::ProjectPaymentMethod | Facet::PayshackPaymentMethod => &self.payment_method,
            Facet::AmountBand | Facet::PayshackAmountBand => self.amount_band.as_str(),
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

/// What one payment adds to the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    pub dimensions: Dimensions,
    pub measures: Measures,
}

impl Contribution {
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

/// The accumulated differences of changed payments.
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

    /// The UTC days of all changed payments, even if no measure changed.
    #[must_use]
    pub fn days(&self) -> BTreeSet<NaiveDate> {
        self.0.keys().map(|dimensions| dimensions.quarter.date_naive()).collect()
    }

    /// The cells that change, sorted by key, which is the fastest order to find them.
    #[must_use]
    pub fn into_cell_deltas(self) -> Vec<(Cell, Measures)> {
        let mut cells: BTreeMap<Cell, Measures> = BTreeMap::new();
        for (dimensions, measures) in self.0.into_iter().filter(|(_, measures)| *measures != Measures::default()) {
            for cell in dimensions.cells() {
                *cells.entry(cell).or_default() += measures;
            }
        }
        cells.into_iter().filter(|(_, measures)| *measures != Measures::default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contribution(status: Status, amount: i64) -> Contribution {
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
    fn payment_is_in_a_cell_of_every_facet_and_width() {
        let mut deltas = Deltas::default();
        deltas.change(None, &contribution(Status::Success, 50));
        let cells = deltas.into_cell_deltas();
        let of = |facet: Facet| -> Vec<(Width, i64, &str, &str)> {
            let cells = cells.iter().map(|(cell, _)| cell).filter(|cell| cell.facet == facet);
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
        assert!(cells.iter().all(|(cell, _)| !cell.facet.has_only_payshack_payins()));
        assert!(cells.iter().all(|(_, measures)| measures.count == 1 && measures.amount == Decimal::from(50)));
    }

    #[test]
    fn payshack_payins_also_have_the_cells_that_are_subtracted() {
        let mut payin = contribution(Status::Success, 50);
        payin.dimensions.source = Source::Payshack;
        let mut payout = payin.clone();
        payout.dimensions.kind = Kind::Payout;
        let widths = |contribution: &Contribution| {
            let mut deltas = Deltas::default();
            deltas.change(None, contribution);
            let cells = deltas.into_cell_deltas().into_iter().map(|(cell, _)| cell);
            let own = cells.filter(|cell| cell.facet.has_only_payshack_payins());
            own.map(|cell| format!("{} {} {} {}", cell.facet.as_str(), cell.width.as_str(), cell.project, cell.member))
                .collect::<Vec<_>>()
        };
        let mut expected = vec![];
        for (facet, member, finest) in [
            (Facet::PayshackProject, "", Width::Quarter),
            (Facet::PayshackAmountBand, "0", Width::Quarter),
            (Facet::PayshackCountry, "IN", Width::Hour),
            (Facet::PayshackPaymentMethod, "", Width::Hour),
        ] {
            let widths = Width::ALL.into_iter().filter(|width| *width >= finest);
            expected.extend(widths.map(|width| format!("{} {} monetix {member}", facet.as_str(), width.as_str())));
        }
        assert_eq!(widths(&payin), expected);
        assert_eq!(widths(&payout), Vec::<String>::new());
    }

    #[test]
    fn change_affects_only_cells_that_differ() {
        let (pending, success) = (contribution(Status::Pending, 50), contribution(Status::Success, 50));
        let mut deltas = Deltas::default();
        deltas.change(Some(&pending), &success);
        deltas.change(Some(&success), &success);
        let cells = deltas.into_cell_deltas();
        let counts =
            |status| cells.iter().filter(move |(cell, _)| cell.status == status).map(|(_, measures)| measures.count);
        assert!(counts(Status::Pending).all(|count| count == -1));
        assert!(counts(Status::Success).all(|count| count == 1));
        assert_eq!(counts(Status::Pending).count(), counts(Status::Success).count());
        let mut nothing = Deltas::default();
        nothing.change(Some(&pending), &pending);
        assert_eq!(nothing.days().len(), 1, "its raw text may differ");
        assert_eq!(nothing.into_cell_deltas(), vec![]);
        // Another amount in the same band changes the sums but not the count.
        let mut larger = Deltas::default();
        larger.change(Some(&pending), &contribution(Status::Pending, 60));
        let cells = larger.into_cell_deltas();
        assert!(cells.iter().all(|(_, measures)| (measures.count, measures.amount) == (0, Decimal::TEN)));
    }
}
